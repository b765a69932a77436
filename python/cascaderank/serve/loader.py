"""The thread in which a cascade's files are looked at and loaded."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


class Loader:
    """One call after another, in a thread that is started with the first.

    It is a daemon and no ``ThreadPoolExecutor``: a disk that does not answer holds it for ever, and a process that
    stops must not wait for that.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended: Future[None] | None = None  # of the thread; None before it is started

    async def run(self, call: Callable[..., _T], *arguments: Any) -> _T:
        """What ``call`` returns or raises; whoever is cancelled while it waits does not end the call."""
        future: Future[_T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = call(*arguments)
            except BaseException as error:  # noqa: BLE001  it is raised where it is waited for
                future.set_exception(error)
            else:
                future.set_result(result)

        self._calls.put(work)
        if self._ended is None:
            self._ended = Future()
            threading.Thread(target=self._serve, args=(self._ended,), name=self._name, daemon=True).start()
        return await asyncio.wrap_future(future)

    async def close(self, patience_s: float) -> None:
        """Let the call under way end, but wait for it no longer than ``patience_s``."""
        if self._ended is None:
            return
        self._calls.put(None)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(self._ended), patience_s)

    def _serve(self, ended: Future[None]) -> None:
        while (work := self._calls.get()) is not None:
            work()
        with suppress(InvalidStateError):  # cancelled by who waits no longer
            ended.set_result(None)
