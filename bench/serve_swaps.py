"""Hot swaps under load: models put in place of each other while clients keep asking; failed and slow requests.

    python bench/serve_swaps.py --swaps 50          # the same model again, so that latencies compare

The server is the real program. Four clients ask on kept connections without a pause, all documents in one request;
meanwhile a folder is replaced so many times and the watcher takes it. A request is counted by what was going on when it
began: nothing, or a load in the background, from when the folder is in place until an answer is of the new generation.
Every answer has to be 200 with all results, of one generation. ``--pause`` seconds lie between two swaps.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from fuzz_sockets import server
from serve_overhead import QUERY, documents

from cascaderank.model import find_folder


class Load:
    """Clients that ask until told to stop; times in milliseconds by when a request began."""

    def __init__(self, port: int, texts: list[str], clients: int) -> None:
        self._port = port
        self._body = json.dumps({"query": QUERY, "documents": texts}).encode()
        self._count = len(texts)
        self._stop = threading.Event()
        self.times: list[tuple[float, float]] = []
        self.failed: list[str] = []
        self.generations: set[str] = set()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._stop.is_set():
            begun = time.perf_counter()
            try:
                connection.request("POST", "/v2/rerank", self._body)
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status != 200 or len(answer["results"]) != self._count:
                    self.failed.append(f"{response.status} {str(answer)[:200]}")
                self.generations.add(response.headers["x-cascade-generation"])
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                connection.close()
            self.times.append((begun, (time.perf_counter() - begun) * 1e3))


def refused(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/v1/models")
    known = json.loads(connection.getresponse().read())["data"][0]
    connection.close()
    return str(known["refused"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--pause", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--models", nargs=2, default=["minilm-ce-small", "minilm-ce-small"])
    parser.add_argument("--documents", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        place, file = Path(base) / "model", Path(base) / "cascade.toml"
        sources = [find_folder(model) for model in options.models]
        shutil.copytree(sources[0], place)
        file.write_text(f'[[stage]]\nmodel = "model"\nkeep = {options.documents}\n', encoding="utf-8")
        with server(file, "--watch-s", "0.2") as (port, _):
            while not_ready(port):
                time.sleep(0.1)
            load = Load(port, documents(options.documents, options.tokens), options.clients)
            windows, took = [], []
            for turn in range(options.swaps):
                time.sleep(options.pause)
                shutil.copytree(sources[(turn + 1) % 2], Path(base) / "new")
                begun = time.perf_counter()
                shutil.rmtree(place)
                (Path(base) / "new").rename(place)
                while str(turn + 2) not in load.generations:  # asking the server would be a load of its own
                    time.sleep(0.02)
                    if time.perf_counter() - begun > 300.0:
                        load.stop()
                        raise SystemExit(f"not taken within 300 s: {refused(port)}")
                windows.append((begun, time.perf_counter()))
                took.append(windows[-1][1] - begun)
            load.stop()
            assert not refused(port), refused(port)
    starts = np.array([begun for begun, _ in load.times])
    times = np.array([milliseconds for _, milliseconds in load.times])
    loading = np.zeros(len(starts), bool)
    for begun, ended in windows:
        loading |= (starts >= begun) & (starts < ended)
    print(f"{options.swaps} swaps, {len(times)} requests by {options.clients} clients, {len(load.failed)} failed")
    print(f"{len(load.generations)} generations answered; put in place to serving: median {np.median(took):.2f} s")
    rows = []
    for name, some in (("while nothing is loaded", times[~loading]), ("while the next one is loaded", times[loading])):
        p50, p95, p99, most = row = np.quantile(some, (0.5, 0.95, 0.99, 1.0))
        rows.append(row)
        shown = f"P50 {p50:7.1f}  P95 {p95:7.1f}  P99 {p99:7.1f}  most {most:7.1f} ms"
        print(f"{name:29} {len(some):6} requests, {shown}")
    p50, p95, p99, most = rows[1] / rows[0]
    print(f"{'times as long':46} P50 {p50:7.2f}  P95 {p95:7.2f}  P99 {p99:7.2f}  most {most:7.2f}")
    if load.failed:
        raise SystemExit("\n".join(load.failed[:10]))


def not_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/ready")
    status = connection.getresponse().status
    connection.close()
    return status != 200


if __name__ == "__main__":
    main()
