"""Making Python's other threads give way sooner while requests are under way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_wanted: list[float] = []  # seconds, one per request under way that wants anything
_before = 0.0  # the process's own interval, while any is


@contextmanager
def quick_switching(seconds: float) -> Iterator[None]:
    """Lower ``sys.setswitchinterval`` to ``seconds`` for as long as the context, and others like it, last; 0: nothing.

    Every run of a model gives the interpreter lock up and wants it back. Beside a thread that computes in Python each
    of a request's runs then waits for the whole interval, 5 ms by default and as long as a run of a small model
    (bench/noisy_neighbour.py). An interval that is shorter already stays.
    """
    global _before
    if not seconds:
        yield
        return
    with _lock:
        if not _wanted:
            _before = sys.getswitchinterval()
        _wanted.append(seconds)
        sys.setswitchinterval(min(_before, *_wanted))
    try:
        yield
    finally:
        with _lock:
            _wanted.remove(seconds)
            sys.setswitchinterval(min(_before, *_wanted) if _wanted else _before)
