"""Reading a request's body: bounded in size and in time, whatever the client claims or withholds, and all that are read
at once bounded together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.requests import Request

from cascaderank.serve.failures import Failure


class Disconnected(Exception):
    """The client went away; there is nobody to answer."""


class Room:
    """Bytes that bodies may hold until they are decoded, all connections together: before that, no queue's limit
    applies. What has come counts, not what a client says will come; all on one event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """One request's: what is yielded takes so many bytes more and raises ``Failure`` 429 where they are not free;
        all are given back at the end."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if self.used + count > self._limit:
                raise Failure(
                    429, f"bodies of {self.used} bytes are being read, {self._limit} are allowed", "Overloaded", 1.0
                )
            taken += count
            self.used += count

        try:
            yield take
        finally:
            self.used -= taken


async def read_body(
    request: Request, limit: int, timeout_s: float, take: Callable[[int], None] = lambda count: None
) -> bytes:
    """The whole body; each part is announced to ``take``. Raises ``Failure``: 413 over ``limit`` bytes, 408 after
    ``timeout_s``, 415 where it is encoded; ``Disconnected`` where the client leaves in the middle."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Failure(415, "content-encoding: send the body as it is; compressed bodies are not taken")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(timeout_s):
            return await _chunks(request, limit, take)
    except TimeoutError:
        raise Failure(408, f"request body: not complete after {timeout_s:g} s; send it faster") from None


async def _chunks(request: Request, limit: int, take: Callable[[int], None]) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> Failure:
    return Failure(413, f"request body: larger than the {limit} bytes this server takes; send fewer documents")
