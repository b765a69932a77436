"""HTTP/1.1 as uvicorn's httptools protocol has it, with bounds on how long and how large a request's head may be, and
on how long a client may leave its answer."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_BYTES = 64 << 10
_PIECE = 16 << 10  # given to the parser at once, which keeps what it has of a head: how exactly heads are counted
_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Bounded(HttpToolsProtocol):
    """A connection that sends nothing, or a head byte by byte, is closed after ``head_timeout_s``: a few such clients
    would otherwise hold every connection there is. So is one that takes nothing of its answer for ``send_timeout_s``.

    The bytes of a head are counted whatever else is under way: of a pipelined request, and the trailers after a chunked
    body, which the parser keeps in the same way.
    """

    head_timeout_s = 10.0
    send_timeout_s = 60.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._in_head = True  # before a request's body: what comes now, if anything, is a head or trailers
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        if self._send_timer is not None:
            self._send_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE] if len(data) > _PIECE else data
            super().data_received(piece)
            if self.transport.is_closing():
                self._watch_reading()
                return
            if not (self._in_head or self._between_requests):
                continue
            self._head_bytes += len(piece)
            if self._head_bytes > _HEAD_BYTES:
                self._refuse(_LARGE)
                return
        if self._head_timer is None and self._between_requests:
            self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_is_here()
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        """Of the last chunk, trailers follow; of another one, its bytes."""
        self._in_head, self._head_bytes = True, 0

    def on_body(self, body: bytes) -> None:
        self._in_head, self._head_bytes = False, 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_reading()

    @property
    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._refuse, _LATE)

    def _head_is_here(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, answer: bytes) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            if self._between_requests:  # else it would be taken for the answer to the one under way
                self.transport.write(answer)
            self.transport.close()
        self._watch_reading()

    def _watch_reading(self) -> None:
        """``close`` waits until all is sent, which is never where the client does not read."""
        left = self.transport.get_write_buffer_size()
        if left and self._send_timer is None:
            self._send_timer = self.loop.call_later(self.send_timeout_s, self._look_again, left)

    def _look_again(self, before: int) -> None:
        self._send_timer = None
        left = self.transport.get_write_buffer_size()
        if left > before - _PIECE and left:
            self.transport.abort()
        else:
            self._watch_reading()


def bounded(head_timeout_s: float, send_timeout_s: float) -> type[Bounded]:
    """The protocol class for a server of these limits."""
    return type("Bounded", (Bounded,), {"head_timeout_s": head_timeout_s, "send_timeout_s": send_timeout_s})
