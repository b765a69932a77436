"""The threads that an event loop's requests run in: like a thread pool's, but who is due first gets the next one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar

from cascaderank.errors import CascadeError
from cascaderank.threads import start_thread

_T = TypeVar("_T")


class RequestThreads:
    """At most ``size`` threads, started as they are needed; ``close`` (also when nobody holds this any more, and before
    the interpreter goes) waits for the requests in them and cancels those that have none yet."""

    def __init__(self, size: int) -> None:
        self._queue = _Queue(size)
        self.close = weakref.finalize(self, self._queue.close)

    def submit(self, order: float, call: Callable[..., _T], *args: Any) -> Future[_T]:
        """``call(*args)`` in a thread, those of smaller ``order`` first, equals as they came. Raises ``CascadeError``
        when closed, and where not one thread can be started."""
        return self._queue.add(order, call, args)


class _Queue:
    def __init__(self, size: int) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
        self._number = count()
        self._size = size
        self._idle = 0
        self._closed = False
        self._threads: list[threading.Thread] = []

    def add(self, order: float, call: Callable[..., _T], args: tuple[Any, ...]) -> Future[_T]:
        future: Future[_T] = Future()
        with self._changed:
            if self._closed:
                raise CascadeError("this cascade was closed; make a new one")
            if len(self._waiting) >= self._idle and len(self._threads) < self._size:
                try:
                    self._threads.append(start_thread(self._work, f"cascaderank-request_{len(self._threads)}"))
                except CascadeError:
                    if not self._threads:  # otherwise one of those serves it, and the next request tries again
                        raise
            heappush(self._waiting, (order, next(self._number), future, call, args))
            self._changed.notify()
        return future

    def close(self) -> None:
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            self._changed.notify_all()
        for _, _, future, _, _ in waiting:
            future.cancel()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._closed:
                        return
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                _, _, future, call, args = heappop(self._waiting)
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call(*args))
                except BaseException as error:  # noqa: BLE001  it is raised where the request is awaited
                    future.set_exception(error)
            del future, call, args  # nothing of a request stays here while there is no other
