"""The service inside the test's process, and the real program in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from cascaderank.serve import Service, Settings, create_app

_T = TypeVar("_T")
QUERY = "red cat"
DOCUMENTS = ["red dog", "cat", "blue", "red cat", "fish", "one"]


def inside(settings: Settings, work: Callable[[httpx.AsyncClient, Service], Awaitable[_T]]) -> _T:
    """Start a service in this process, let ``work`` ask it, stop it."""

    async def whole() -> _T:
        service = Service(settings)
        transport = httpx.ASGITransport(create_app(service), raise_app_exceptions=False)
        await service.start()
        assert service.state == "ready", service.error
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await work(client, service)
        finally:
            await service.stop()

    return asyncio.run(whole())


def post(settings: Settings, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    """One request; ``body`` is bytes, or made JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return inside(settings, lambda client, _: client.post(path, content=content, headers=headers))


class Program:
    """A running ``cascaderank serve``; ``lines`` are its log records so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self.port = 0
        self._new: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, message: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The next record that says ``message``."""
        while True:
            line = self._new.get(timeout=timeout_s)
            assert line is not None, f"the server ended before {message!r}: {self.lines}"
            if line["message"] == message:
                return line

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            line = json.loads(text)
            self.port = line.get("port", self.port)
            self.lines.append(line)
            self._new.put(line)
        self._new.put(None)


@contextmanager
def program(
    *arguments: str | Path, environment: dict[str, str] | None = None, until: str = "ready"
) -> Iterator[Program]:
    """``cascaderank serve`` on a free port, ``until`` it has said that; killed at the end if it still runs.
    ``environment`` is added."""
    command = [sys.executable, "-m", "cascaderank.cli", "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {}))
    served = Program(process)
    try:
        served.wait_for(until)
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        served.reader.join()
        assert process.stderr is not None
        process.stderr.close()
