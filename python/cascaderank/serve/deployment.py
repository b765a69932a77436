"""One named cascade: what serves, what served before, and how another generation takes its place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from cascaderank.cascade import default_config
from cascaderank.errors import CascadeError
from cascaderank.job import clock
from cascaderank.serve.fingerprint import Files
from cascaderank.serve.live import Generation, Live
from cascaderank.serve.loader import Loader
from cascaderank.serve.metrics import Metrics
from cascaderank.serve.prepare import prepare
from cascaderank.token_cache import CacheCounts
from cascaderank.trial import Trial

_log = logging.getLogger("cascaderank.serve")


class Deployment:
    """``reload`` puts in place what lies on disk, ``rollback`` what served before; a generation that cannot be made
    ready never serves. One reload or rollback at a time; all on one event loop, loading in a thread, and trying what
    is to replace one that serves in a process of its own."""

    def __init__(
        self,
        name: str,
        file: Path | None,
        store: Path | None,
        metrics: Metrics,
        *,
        max_requests: int | None = None,
        keep_previous: bool = True,
        trial: bool = True,
    ) -> None:
        """``file`` None is the installed models' own; raises ``ConfigError`` where there are none. The rest is as in
        ``Settings``."""
        self.name = name
        self.live = Live()
        self.previous: Generation | None = None
        self.refused = ""  # why the last one was not put in place
        self._files = Files(default_file() if file is None else file, store)
        self._metrics = metrics
        self._max_requests = max_requests
        self._keep_previous = keep_previous
        self._trial = Trial() if trial else None
        self._seen = ""  # fingerprint of what was last loaded or refused
        self._numbers = 0
        self._busy = asyncio.Lock()
        self._loader = Loader("cascaderank-load")
        self._closing: set[asyncio.Task[None]] = set()

    async def reload(self) -> Generation:
        """Load, check and warm up what lies on disk, then switch. Raises ``CascadeError``; what served serves on.

        Files that serve already are left as they are, since another generation of them would take the place of the one
        to roll back to."""
        async with self._busy:
            begun = clock()
            found = await self._loader.run(self._files.fingerprint)
            self._seen = found
            current = self.live.current
            if current is not None and current.fingerprint == found:
                self.refused = ""
                _log.info("unchanged", extra={"cascade": self.name, "generation": current.number})
                return current
            try:
                # At the start there is nobody to yield to, and nothing to protect.
                trial = None if current is None else self._trial
                arguments = self._files.file, self._files.store, self._max_requests, trial
                prepared = await self._loader.run(prepare, *arguments)
            except Exception as error:
                self.refused = str(error) or type(error).__name__
                self._metrics.swaps.labels(self.name, "refused").inc()
                _log.error("refused", extra={"cascade": self.name, "reason": self.refused})
                if isinstance(error, (CascadeError, OSError)):
                    raise CascadeError(f"cascade {self.name!r}: not put in place: {self.refused}") from error
                raise
            self._numbers += 1
            new = Generation(
                self._numbers, prepared.cascade, prepared.store, found, prepared.score_kind, prepared.source
            )
            self._switch(new, "switched")
            extra = {"cascade": self.name, "generation": new.number, "seconds": round(clock() - begun, 3)}
            _log.info("switched", extra=extra | {"models": [spec.digest[:12] for spec in new.cascade.models]})
            if prepared.unchecked:
                _log.warning("no golden scores", extra={"cascade": self.name, "models": list(prepared.unchecked)})
            return new

    async def rollback(self) -> Generation:
        """Put back what served before; doing it twice undoes it. Raises ``CascadeError`` where nothing is kept."""
        async with self._busy:
            if self.previous is None:
                raise CascadeError(f"cascade {self.name!r}: nothing to roll back to; no generation was replaced yet")
            back = self.previous
            self._switch(back, "rolled back")
            _log.warning("rolled back", extra={"cascade": self.name, "generation": back.number})
            return back

    async def changed(self) -> str:
        """The files' fingerprint where they are not those last loaded or refused, else empty."""
        found = await self._loader.run(self._files.fingerprint)
        return "" if found == self._seen else found

    @property
    def under_way(self) -> int:
        """Requests that are being answered, by what serves or by what served before."""
        return sum(generation.users for generation in (self.live.current, self.previous) if generation is not None)

    @property
    def limit(self) -> int:
        """How many may be; 0 before anything serves."""
        return 0 if self.live.current is None else self.live.current.cascade.config.max_requests or 0

    @property
    def cache_counts(self) -> CacheCounts:
        """Of the token caches of what serves."""
        return CacheCounts(0, 0, 0, 0, 0) if self.live.current is None else self.live.current.cascade.cache_counts

    async def close(self, until: float) -> None:
        """End all generations once their requests have ended, and a trial at once; what is being loaded is waited for
        ``until`` then (``clock()`` seconds), for a disk may never answer."""
        if self._trial is not None:
            self._trial.end()
        for generation in (self.live.current, self.previous):
            if generation is not None:
                await generation.close()
        if self._closing:
            await asyncio.wait(self._closing)
        await self._loader.close(max(0.0, until - clock()))

    def _switch(self, new: Generation, outcome: str) -> None:
        """No await in here: a request sees either the old or the new."""
        old, dropped = self.live.current, self.previous
        self.live.current = new
        self.previous = old
        if dropped is new:
            dropped = None
        if not self._keep_previous and old is not None:
            self.previous, dropped = None, old
        if dropped is not None:
            self._later(dropped.close())
        self.refused = ""
        self._metrics.swaps.labels(self.name, outcome).inc()
        self._metrics.generation.labels(self.name).set(new.number)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def default_file() -> Path:
    """The cascade file of the installed model package; raises ``ConfigError`` where there is none."""
    base = default_config().base
    assert base is not None  # it was read from a file
    return base / "cascade.toml"
