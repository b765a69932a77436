"""One process that serves: listens at once, answers when models are loaded, reloads on SIGHUP, drains on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from cascaderank.errors import CascadeError, ConfigError
from cascaderank.serve import logs, tracing
from cascaderank.serve.app import create_app
from cascaderank.serve.private import sweep
from cascaderank.serve.protocol import bounded
from cascaderank.serve.service import Service
from cascaderank.serve.settings import Settings

_log = logging.getLogger("cascaderank.serve")
_BACKLOG = 4096  # connections that wait to be accepted; the kernel's own limit (net.core.somaxconn) applies, too


def run(settings: Settings, host: str, port: int, *, log_level: str = "info") -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way. Port 0 takes a free one; the log says which.

    Raises ``ConfigError`` where the address cannot be had, ``CascadeError`` where a cascade cannot be loaded.
    """
    logs.configure(log_level)
    tracing.configure()
    for folder in sweep():
        _log.info("swept", extra={"folder": str(folder)})
    service = Service(settings)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"serve: cannot listen on {host} port {port}: {error.strerror or error}") from None
    config = uvicorn.Config(
        create_app(service),
        http=bounded(settings.header_timeout_s, settings.send_timeout_s),
        ws="none",
        lifespan="on",
        backlog=_BACKLOG,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=max(1, round(settings.keep_alive_s)),
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
    )
    server = _Server(config, service)
    service.on_failure = server.stop_now
    _log.info("listening", extra={"host": host, "port": listener.getsockname()[1], "pid": os.getpid()})
    server.run(sockets=[listener])
    if service.error:
        raise CascadeError(service.error)
    _log.info("stopped")


class _Server(uvicorn.Server):
    """Signals as an orchestrator means them; the process ends with 0 after a drain."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._reloading: set[asyncio.Task[None]] = set()

    def stop_now(self) -> None:
        """Close idle connections, finish requests under way, end."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self._stop, signal.SIGINT: self._stop, signal.SIGHUP: self._reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self._service.state == "draining":  # asked twice: somebody is in a hurry
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        _log.info("draining")
        self._service.drain()
        asyncio.get_running_loop().call_later(self._service.settings.drain_delay_s, self.stop_now)

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload_all())
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    async def _reload_all(self) -> None:
        for deployment in self._service.deployments.values():
            with suppress(CascadeError):  # logged and counted where it was refused
                await deployment.reload()
