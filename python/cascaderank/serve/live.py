"""The cascade that serves now, lent to requests; another takes its place between two of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cascaderank.cascade import Cascade
from cascaderank.store import Store


@dataclass(eq=False, slots=True)
class Generation:
    """One loaded cascade with its store. ``number`` counts what was put in place, from 1; ``fingerprint`` is of the
    files it came from; ``source`` maps the folders it was really loaded from to those the operator knows."""

    number: int
    cascade: Cascade
    store: Store | None
    fingerprint: str
    score_kind: str
    source: dict[str, str] = field(default_factory=dict)
    users: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def explained(self, text: str) -> str:
        """A message with the folders the operator knows."""
        for copy, original in self.source.items():
            text = text.replace(copy, original)
        return text

    async def close(self) -> None:
        """Once nobody uses it: ends its threads and sessions."""
        while self.users:
            self.idle.clear()
            await self.idle.wait()
        await asyncio.to_thread(self.cascade.close)


class Live:
    """Lends and switches on one event loop, so that a switch lies between two requests by construction."""

    def __init__(self) -> None:
        self.current: Generation | None = None

    @contextmanager
    def lend(self) -> Iterator[Generation]:
        """One generation for the whole of a request; there must be one."""
        generation = self.current
        assert generation is not None  # requests are let in once the service is ready
        generation.users += 1
        try:
            yield generation
        finally:
            generation.users -= 1
            if not generation.users:
                generation.idle.set()
