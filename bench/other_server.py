"""Rerank servers beside each other on the same requests: a closed loop that keeps each busy in turn.

    python bench/other_server.py infinity=ce@http://localhost:7997/rerank fp32=fp32@http://localhost:8100/v1/rerank

Each is NAME=MODEL@URL and speaks Cohere's or Infinity's API; the first is the one the others are compared with. A
round lets each server answer ``--callers`` callers for ``--seconds``, beginning with another one each time; ratios of
answered requests a second are taken within a round. The order of every answer is compared with the first server's for
the same request: what is quick and ranks otherwise is seen. ``cascaderank bench --rate`` asks one server at a time in
an open loop.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import threading
import time
from urllib.parse import urlsplit

import numpy as np

from cascaderank.cli.collection import read_collection
from cascaderank.evaluate.load.apis import APIS, order_of
from cascaderank.evaluate.load.http import make_bodies
from cascaderank.evaluate.requests import evenly, make_requests

COHERE = APIS["cohere"]


class Server:
    """One of them, with every request's body for it."""

    def __init__(self, given: str, requests: list) -> None:
        self.name, _, rest = given.partition("=")
        model, _, url = rest.partition("@")
        parts = urlsplit(url)
        self._place, self._path = parts.netloc, parts.path or COHERE.path
        self._bodies = list(make_bodies(COHERE, requests, model, explain=False).values())
        self._size = len(requests[0].documents)
        self.orders: dict[int, list[int]] = {}

    def busy(self, callers: int, seconds: float) -> tuple[float, list[float]]:
        """Answered requests a second, and milliseconds of each, from so many callers who never pause."""
        numbers, times, failed = itertools.count(), list[float](), list[BaseException]()
        end = time.perf_counter() + seconds

        def call() -> None:
            connection = http.client.HTTPConnection(self._place, timeout=120)
            try:
                while (begun := time.perf_counter()) < end:
                    number = next(numbers) % len(self._bodies)
                    connection.request("POST", self._path, self._bodies[number], {"content-type": "application/json"})
                    response = connection.getresponse()
                    content = response.read()
                    if response.status != 200:
                        raise SystemExit(f"{self.name}: {response.status} {content[:300]!r}")
                    self.orders[number] = order_of(COHERE, json.loads(content), self._size, 10)
                    times.append((time.perf_counter() - begun) * 1e3)
            except BaseException as error:  # noqa: BLE001  raised again where the callers are waited for
                failed.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=call) for _ in range(callers)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise failed[0]
        return len(times) / (time.perf_counter() - begun), times


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="+", metavar="NAME=MODEL@URL")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--queries", type=int, default=40)
    options = parser.parse_args()
    data, what = read_collection(None, None, "dev")
    requests = evenly(make_requests(data, options.candidates, lambda done, total: None), options.queries)
    servers = [Server(given, requests) for given in options.servers]
    for server in servers:
        server.busy(options.callers, 2.0)
    rates, times = np.zeros((options.rounds, len(servers))), [list[float]() for _ in servers]
    for round_ in range(options.rounds):
        for step in range(len(servers)):
            place = (round_ + step) % len(servers)
            rates[round_, place], found = servers[place].busy(options.callers, options.seconds)
            times[place] += found
    print(
        f"{what}, {options.candidates} candidates, {options.callers} callers, {options.rounds} x {options.seconds:g} s"
    )
    for place, server in enumerate(servers):
        low, middle, high = np.quantile(rates[:, place] / rates[:, 0], (0.25, 0.5, 0.75))
        p50, p99 = np.quantile(times[place], (0.5, 0.99))
        both = servers[0].orders.keys() & server.orders.keys()
        same = np.mean([servers[0].orders[number] == server.orders[number] for number in both]) if both else np.nan
        print(
            f"{server.name:12} {np.median(rates[:, place]):7.2f} requests/s, x {middle:.2f} ({low:.2f} to {high:.2f}), "
            f"P50 {p50:7.1f} ms, P99 {p99:7.1f} ms, {len(times[place])} answers, same first ten in {same:.0%}"
        )


if __name__ == "__main__":
    main()
