"""What a load is put on: anything that answers a request. Here a cascade of this process; ``http`` has servers."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.errors import CascadeError, OverloadedError
from cascaderank.evaluate.load.record import Reply, clock
from cascaderank.evaluate.requests import Request
from cascaderank.store import Store

TOP_N = 10
"""How many results every request asks for: what nDCG@10 needs."""


class Target(Protocol):
    """``answer`` never raises for what the target did: a refusal and a failure are replies, too.

    A request that is sent ``late_ms`` after it was due has that much less time, as with any caller who was held up
    himself and has somebody waiting.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def answer(self, request: Request, late_ms: float = 0.0) -> Reply: ...


def time_left(deadline_ms: float | None, late_ms: float) -> float | None:
    """Milliseconds for a request that is sent late; a millionth where nothing is left, since 0 is no deadline."""
    return None if deadline_ms is None else max(deadline_ms - late_ms, 1e-6)


class InProcess:
    """A cascade through ``arank``, as an asyncio service would call it; not closed here."""

    def __init__(self, cascade: Cascade, store: Store | None, deadline_ms: float | None = None) -> None:
        self._cascade, self._store, self._deadline_ms = cascade, store, deadline_ms

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def answer(self, request: Request, late_ms: float = 0.0) -> Reply:
        by_ids = self._store is not None
        try:
            ranking = await self._cascade.arank(
                request.query,
                None if by_ids else request.documents,
                ids=request.ids if by_ids else None,
                scores=request.scores if by_ids else None,
                store=self._store,
                top_n=TOP_N,
                deadline_ms=time_left(self._deadline_ms, late_ms),
            )
        except CascadeError as error:
            refused = isinstance(error, OverloadedError)
            return Reply("refused" if refused else "failed", clock(), type(error).__name__)
        at = clock()
        trace = ranking.trace
        stages = tuple((stage.name, stage.total_ms) for stage in trace.stages)
        top = ranking.order[:TOP_N].astype(np.int32)
        return Reply("answered", at, "", ranking.degraded, top, stages, trace.total_ms)
