"""Reading a request's body: bounded in size and in time, whatever the client claims or withholds."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from cascaderank.serve.failures import Failure


class Disconnected(Exception):
    """The client went away; there is nobody to answer."""


async def read_body(request: Request, limit: int, timeout_s: float) -> bytes:
    """The whole body. Raises ``Failure``: 413 over ``limit`` bytes, 408 after ``timeout_s``, 415 where it is encoded;
    ``Disconnected`` where the client leaves in the middle."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Failure(415, "content-encoding: send the body as it is; compressed bodies are not taken")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(timeout_s):
            return await _chunks(request, limit)
    except TimeoutError:
        raise Failure(408, f"request body: not complete after {timeout_s:g} s; send it faster") from None


async def _chunks(request: Request, limit: int) -> bytes:
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
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> Failure:
    return Failure(413, f"request body: larger than the {limit} bytes this server takes; send fewer documents")
