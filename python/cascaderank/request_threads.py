"""The threads that an event loop's requests run in: like a thread pool's, but who is due first gets the next one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any, TypeVar

from cascaderank.errors import CascadeError
from cascaderank.threads import start_thread

_T = TypeVar("_T")


_MOST = 256  # threads, those of requests in a hurry included


class RequestThreads:
    """``size`` threads, started as they are needed, and for requests in a hurry more, up to ``most``: one with a
    deadline does not wait for those that have time.

    ``close`` (also when nobody holds this any more, and before the interpreter goes) waits for the requests in them and
    cancels those that have none yet.
    """

    def __init__(self, size: int, most: int = _MOST) -> None:
        self._queue = _Queue(size, max(size, most))
        self.close = weakref.finalize(self, self._queue.close)

    def submit(self, order: float, call: Callable[..., _T], *args: Any, hurry: bool = False) -> Future[_T]:
        """``call(*args)`` in a thread, those of smaller ``order`` first, equals as they came. Raises ``CascadeError``
        when closed, and where not one thread can be started."""
        return self._queue.add(order, hurry, call, args)


_Entry = tuple[float, int, bool, Future[Any], Callable[..., Any], tuple[Any, ...]]  # order, number, whether in a hurry


class _Queue:
    def __init__(self, size: int, most: int) -> None:
        self._changed = threading.Condition()
        self._waiting: list[_Entry] = []
        self._number = count()
        self._size = size
        self._most = most
        self._idle = 0
        self._closed = False
        self._threads: list[threading.Thread] = []

    def add(self, order: float, hurry: bool, call: Callable[..., _T], args: tuple[Any, ...]) -> Future[_T]:
        future: Future[_T] = Future()
        with self._changed:
            if self._closed:
                raise CascadeError("this cascade was closed; make a new one")
            entry: _Entry = (order, next(self._number), hurry, future, call, args)
            taken = len(self._waiting) >= self._idle
            own = taken and hurry and self._size <= len(self._threads) < self._most and self._start(entry)
            if not own:
                if taken and len(self._threads) < self._size:
                    self._start()
                heappush(self._waiting, entry)
                self._changed.notify()
        future.add_done_callback(self._forget)
        return future

    def _start(self, entry: _Entry | None = None) -> bool:
        """A thread more; with ``entry`` that is what it does first, whoever else waits. False where there is none to be
        had: one of those that run serves it, and the next request tries again. Raises where none runs."""
        try:
            thread = start_thread(
                partial(self._work, [entry] if entry else []), f"cascaderank-request_{len(self._threads)}"
            )
        except CascadeError:
            if not self._threads:
                raise
            return False
        self._threads.append(thread)
        return True

    def _forget(self, future: Future[Any]) -> None:
        """Who was cancelled in line leaves nothing of the request here."""
        if future.cancelled():
            with self._changed:
                self._waiting = [entry for entry in self._waiting if entry[3] is not future]
                heapify(self._waiting)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            waiting, self._waiting = self._waiting, []
            threads = list(self._threads)
            self._changed.notify_all()
        for _, _, _, future, _, _ in waiting:
            future.cancel()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()

    def _work(self, own: list[_Entry]) -> None:
        """``own`` is emptied, since the thread keeps what it was started with."""
        while (entry := own.pop() if own else self._next()) is not None:
            _, _, _, future, call, args = entry
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call(*args))
                except BaseException as error:  # noqa: BLE001  it is raised where the request is awaited
                    future.set_exception(error)
            del entry, future, call, args  # nothing of a request stays here while there is no other

    def _next(self) -> _Entry | None:
        """Who is due first, when there is somebody; None for a thread that is not needed any more."""
        with self._changed:
            while True:
                if len(self._threads) > self._size:
                    if hurried := [entry for entry in self._waiting if entry[2]]:  # who came when there was no room
                        self._waiting.remove(first := min(hurried))
                        heapify(self._waiting)
                        return first
                    self._threads.remove(threading.current_thread())
                    return None
                if self._waiting:
                    return heappop(self._waiting)
                if self._closed:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
