"""Around every request: its id, its place in a trace, one log line, and an answer where nobody foresaw an error."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import MutableMapping
from typing import Any

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cascaderank.job import clock
from cascaderank.serve.tracing import trace_context

_log = logging.getLogger("cascaderank.access")
_errors = logging.getLogger("cascaderank.serve")
_UNFORESEEN = "internal error; the server's log has it under this request's id"
_ID = re.compile(r"[\w.:+=/-]{1,128}", re.ASCII)
_QUIET = frozenset({"/health", "/ready", "/metrics"})  # asked every few seconds by probes; logged at debug


class Edge:
    """ASGI middleware. A request's ``X-Request-Id`` is kept where it is a plain word, else one is made; it is in the
    answer, the errors and the log. ``traceparent`` of the answer names the span of this server. An exception that
    nothing inside has answered is logged and answered here, since outside nothing has these headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = clock()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(16)
        trace = trace_context(headers.get("traceparent"))
        state: MutableMapping[str, Any] = {"request_id": request_id, "trace": trace, "log": {}}
        scope["state"] = state
        status = 500
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                out = MutableHeaders(raw=message["headers"])
                out["x-request-id"] = request_id
                out["traceparent"] = trace.traceparent
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            _errors.exception("failed", extra={"request_id": request_id})
            if started:
                raise  # the connection is closed in the middle of the answer, which says it
            body = msgspec.json.encode({"message": _UNFORESEEN, "detail": _UNFORESEEN})
            await Response(body, 500, media_type="application/json")(scope, receive, send_with_headers)
        finally:
            quiet = scope["path"] in _QUIET
            fields = {
                "request_id": request_id,
                "trace_id": trace.trace_id,
                "span_id": trace.span_id,
                "method": scope["method"],
                "path": scope["path"][:200],
                "status": status,
                "ms": round((clock() - begun) * 1e3, 2),
            }
            _log.log(logging.DEBUG if quiet else logging.INFO, "request", extra=fields | state["log"])
