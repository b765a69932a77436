"""Work that never rests, in a thread of this process or in another process: what ``noisy_neighbour.py`` sets beside a
cascade."""

from __future__ import annotations

import json
import multiprocessing
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_SPAWN = multiprocessing.get_context("spawn")  # a fork would copy the lock and the threads' state


def _loop() -> Callable[[], object]:
    def once() -> int:
        total = 0
        for number in range(100_000):
            total += number
        return total

    return once


def _json() -> Callable[[], object]:
    text = json.dumps([{"id": str(number), "text": "a passage of some words " * 20} for number in range(8000)])
    return lambda: json.loads(text)


def _regex() -> Callable[[], object]:
    text = "the quick brown fox, jumps over the lazy dog; " * 2_000
    pattern = re.compile(r"(\w+)\s+(\w+)[,;]")
    return lambda: sum(1 for _ in pattern.findall(text))


HOGS: dict[str, Callable[[], Callable[[], object]]] = {"loop": _loop, "json": _json, "regex": _regex}


def _hog_process(kind: str, ready: Any, stop: Any) -> None:
    once = HOGS[kind]()
    ready.set()
    while not stop.is_set():
        once()


@contextmanager
def hogging(kind: str, where: str) -> Iterator[None]:
    """The hog runs inside this context: in a thread of this process, in another process, or not at all."""
    if where == "nobody":
        yield
        return
    if where == "here":
        once, stop = HOGS[kind](), threading.Event()

        def run() -> None:
            while not stop.is_set():
                once()

        other: Any = threading.Thread(target=run, name="hog")
        other.start()
    else:
        ready, stop = _SPAWN.Event(), _SPAWN.Event()  # type: ignore[assignment]
        other = _SPAWN.Process(target=_hog_process, args=(kind, ready, stop), daemon=True)
        other.start()
        ready.wait()
    try:
        yield
    finally:
        stop.set()
        other.join()


def hold_ms(kind: str) -> float:
    """How long one call of the hog takes alone: for ``json`` and ``regex`` the time it keeps the interpreter lock."""
    once, times = HOGS[kind](), []
    for _ in range(5):
        begun = time.perf_counter()
        once()
        times.append((time.perf_counter() - begun) * 1e3)
    return float(np.median(times))
