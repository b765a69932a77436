"""Targets whose behaviour is known to the millisecond, and requests for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np

from cascaderank.documents import Document
from cascaderank.evaluate.load import LoadRun, Reply, Sent
from cascaderank.evaluate.load.record import clock
from cascaderank.evaluate.requests import Request

IDS = ("a", "b", "c")


def requests(count: int = 3) -> list[Request]:
    documents = tuple(Document(name, f"text of {name}") for name in IDS)
    return [Request(f"q{number}", f"query {number}", IDS, (3.0, 2.0, 1.0), documents) for number in range(count)]


class Fake:
    """``behave(number)`` gives the seconds that request ``number`` keeps the one server busy, or a reply at once."""

    def __init__(self, behave: Callable[[int], float | Reply]) -> None:
        self._behave = behave
        self._server = asyncio.Lock()
        self.started: list[float] = []
        self.late_ms: list[float] = []
        self.cancelled = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def answer(self, request: Request, late_ms: float = 0.0) -> Reply:
        del request
        self.late_ms.append(late_ms)
        found = self._behave(len(self.started))
        self.started.append(clock())
        if isinstance(found, Reply):
            return found
        try:
            async with self._server:
                await asyncio.sleep(found)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Reply("answered", clock(), top=np.array([0, 1, 2], np.int32))


def sent(
    due_s: float, latency_ms: float, status: str = "answered", *, degraded: bool = False, lateness_ms: float = 0.0
) -> Sent:
    done = due_s + latency_ms / 1e3
    reply = Reply(status, done, "Some", degraded, np.array([0, 1, 2], np.int32))  # type: ignore[arg-type]
    return Sent(requests(1)[0], due_s, due_s + lateness_ms / 1e3, done, reply)


def run(*entries: Sent, duration_s: float = 10.0, settle_s: float = 0.0, deadline_ms: float | None = None) -> LoadRun:
    return LoadRun(entries, len(entries) / duration_s, duration_s, settle_s, deadline_ms)
