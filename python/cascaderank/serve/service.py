"""What one process serves: named cascades, keys, metrics, and whether it is ready."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from prometheus_client.core import Metric

from cascaderank.errors import CascadeError
from cascaderank.job import clock
from cascaderank.serve.body import Room
from cascaderank.serve.deployment import Deployment
from cascaderank.serve.failures import Failure
from cascaderank.serve.keys import Keys
from cascaderank.serve.metrics import Metrics, gauge, total
from cascaderank.serve.settings import Settings

_log = logging.getLogger("cascaderank.serve")
_ENDING_S = 1.0  # for what ends by itself, such as a trial that was killed, also where the drain took all its time


class Service:
    """``start`` loads everything, ``stop`` ends it; both belong to the event loop that serves.

    ``state`` is "starting", "ready", "draining" or "failed". ``on_failure`` is called where a cascade cannot be loaded
    at the start: there is nothing to serve then.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = "starting"
        self.error = ""
        self.metrics = Metrics()
        self.room = Room(settings.reading_limit)
        self.keys = Keys(settings.api_keys)
        self.admin_keys = Keys(settings.admin_keys)
        self.deployments = {
            name: Deployment(
                name,
                file,
                settings.stores.get(name),
                self.metrics,
                max_requests=settings.max_queue,
                keep_previous=settings.keep_previous,
                trial=settings.trial,
            )
            for name, file in settings.cascades.items()
        }
        self.default = next(iter(self.deployments))
        self.on_failure: Callable[[], None] = lambda: None
        self._watchers: list[asyncio.Task[None]] = []
        self._ends: float | None = None  # when a drain is over, clock() seconds
        self.metrics.watch(self._gauges)

    async def start(self) -> None:
        """Load, check and warm up every cascade, then say ready and watch the files."""
        try:
            for deployment in self.deployments.values():
                await deployment.reload()
        except Exception as error:  # noqa: BLE001  said by run, logged if unforeseen
            self.state, self.error = "failed", str(error)
            if not isinstance(error, CascadeError):
                _log.exception("cannot start")
            self.on_failure()
            return
        if self.state == "starting":
            self.state = "ready"
            _log.info("ready", extra={"cascades": list(self.deployments)})
        if self.settings.watch_s:
            self._watchers = [asyncio.create_task(self._watch(*one)) for one in self.deployments.items()]

    def drain(self) -> None:
        """Say no to ``/ready``; requests are still answered."""
        self.state = "draining"
        self._ends = clock() + self.settings.drain_delay_s + self.settings.drain_s

    async def stop(self) -> None:
        """End the cascades, once their requests have ended; what is still being loaded is left alone when the drain is
        over."""
        for watcher in self._watchers:
            watcher.cancel()
        if self._watchers:
            await asyncio.wait(self._watchers)
        now = clock()
        ends = now + self.settings.drain_s if self._ends is None else self._ends
        until = max(ends, now + _ENDING_S)
        await asyncio.gather(*(deployment.close(until) for deployment in self.deployments.values()))

    def find(self, name: str | None) -> Deployment:
        """The cascade that a request's ``model`` names; raises ``Failure`` where there is none."""
        found = self.deployments.get(self.default if name is None else name)
        # One that drains before it was ready has some cascades, or none.
        if self.state in ("starting", "failed") or (found is not None and found.live.current is None):
            raise Failure(503, f"the service is {self.state}; its models are not loaded", "Unhealthy", 1.0)
        if found is None:
            served = ", ".join(map(repr, self.deployments))
            raise Failure(404, f"model {(name or '')[:100]!r}: no such cascade; this server has {served}")
        return found

    async def _watch(self, name: str, deployment: Deployment) -> None:
        """Reload what changed, once two looks in a row found the same: a copy that is under way is left alone. Each
        cascade has its own watcher: another's trial may take long."""
        pending = ""
        while True:
            await asyncio.sleep(self.settings.watch_s)
            try:
                found = await deployment.changed()
                if found and pending == found:
                    pending = ""
                    await deployment.reload()
                else:
                    pending = found
            except CascadeError:
                pass  # logged and counted where it was refused; what served serves on
            except Exception:  # noqa: BLE001  the next look may find better
                _log.exception("the watcher met an error", extra={"cascade": name})

    def _gauges(self) -> Iterable[Metric]:
        parts = self.deployments.items()
        yield gauge("in_flight", "Requests under way", {name: part.under_way for name, part in parts})
        yield gauge("queue_limit", "Requests that may be under way", {name: part.limit for name, part in parts})
        caches = [(name, part.cache_counts) for name, part in parts]
        yield total("token_cache_hits", "Texts whose tokens were known", {name: one.hits for name, one in caches})
        yield total("token_cache_misses", "Texts tokenised", {name: one.misses for name, one in caches})
        yield gauge("token_cache_bytes", "Held by the token caches", {name: one.bytes for name, one in caches})
        yield gauge("ready", "Whether the service answers", {"": float(self.state == "ready")})
