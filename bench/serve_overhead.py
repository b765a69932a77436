"""What the server adds to a ranking: the same request over HTTP and in-process, turn about, in the same minute.

    python bench/serve_overhead.py --requests 1500                                # a model of next to no cost
    python bench/serve_overhead.py --requests 60 --model minilm-ce-small          # one that keeps every core busy

The server is the real program in a process of its own; the client sends 100 documents of 120 tokens on one kept
connection. Two figures: the wall time of an HTTP request less that of the in-process one just before or after it, and
the wall time of an HTTP request less the time that the engine took for that very request (``Server-Timing``).
The first holds the noise of two rankings, the second that of none.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from fuzz_http import make_model
from fuzz_sockets import server

from cascaderank import Cascade

QUERY = "red cat dog"
WORDS = ("red", "cat", "dog")


def documents(count: int, tokens: int) -> list[str]:
    """Texts of so many words, each one token in both vocabularies."""
    random_ = random.Random(7)
    return [" ".join(random_.choice(WORDS) for _ in range(tokens)) for _ in range(count)]


def measure(file: Path, requests: int, texts: list[str]) -> dict[str, np.ndarray]:
    """Milliseconds float64 ``[requests]`` of each way, and of what the engine said of the HTTP ones."""
    body = json.dumps({"query": QUERY, "documents": texts}).encode()
    found: dict[str, list[float]] = {"http": [], "in-process": [], "engine": []}
    with Cascade.load(file) as cascade, server(file, "--watch-s", "0") as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        cascade.warm_up()

        def over_http() -> None:
            begun = time.perf_counter()
            connection.request("POST", "/v2/rerank", body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            found["http"].append((time.perf_counter() - begun) * 1e3)
            found["engine"].append(float(response.headers["server-timing"].partition("dur=")[2]))
            assert len(answer["results"]) == len(texts)

        def in_process() -> None:
            begun = time.perf_counter()
            ranking = cascade.rank(QUERY, texts)
            found["in-process"].append((time.perf_counter() - begun) * 1e3)
            assert len(ranking) == len(texts)

        for turn in range(requests + 20):
            for ask in (over_http, in_process) if turn % 2 else (in_process, over_http):
                ask()
    return {name: np.array(values[20:]) for name, values in found.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--model", help="an installed model or a folder; default: one of next to no cost")
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = make_model(Path(folder) / "mean", max_length=256)
        if options.model:
            file.write_text(f'[[stage]]\nmodel = "{options.model}"\nkeep = {options.documents}\n', encoding="utf-8")
        texts = documents(options.documents, options.tokens)
        times = measure(file, options.requests, texts)
    print(f"{options.requests} requests each way, {options.documents} documents of {options.tokens} tokens")
    for name, values in (
        ("HTTP", times["http"]),
        ("in-process", times["in-process"]),
        ("HTTP less in-process, paired", times["http"] - times["in-process"]),
        ("HTTP less the engine's own time", times["http"] - times["engine"]),
    ):
        p50, p95, p99 = np.quantile(values, (0.5, 0.95, 0.99))
        print(f"{name:32} P50 {p50:8.3f}  P95 {p95:8.3f}  P99 {p99:8.3f} ms")
    p99s = np.quantile(times["http"], 0.99) - np.quantile(times["in-process"], 0.99)
    print(f"P99 over HTTP less P99 in-process: {p99s:.3f} ms")


if __name__ == "__main__":
    main()
