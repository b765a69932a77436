"""A rerank server as a target, over HTTP with aiohttp (extra ``load``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np

from cascaderank.errors import InputError, MissingExtraError
from cascaderank.evaluate.load.apis import Api, explanation_of, order_of
from cascaderank.evaluate.load.record import Reply, clock
from cascaderank.evaluate.load.targets import TOP_N, time_left
from cascaderank.evaluate.requests import Request

_REFUSED = (429, 503)


def make_bodies(api: Api, requests: Iterable[Request], model: str | None, *, explain: bool) -> dict[str, bytes]:
    """Every request's body by its query's id; ``explain`` is for cascaderank's own server: the first pass's scores go
    along, as they do in process, and the answer tells each stage's time."""
    bodies = {}
    for request in requests:
        body = api.body(request.query, [document.text for document in request.documents], TOP_N, model)
        if explain:
            body |= {"explain": True, "scores": list(request.scores)}
        bodies[request.query_id] = json.dumps(body).encode()
    return bodies


class HttpTarget:
    """``url`` is the server's address, to which the API's own path is added unless it has one of its own.

    ``bodies`` (``make_bodies``) are written before the first request is due, so that a send costs the client a socket
    write. ``deadline_ms``, less what a request is late, goes into the header ``x-deadline-ms``: cascaderank's server
    keeps it, others pass over it.
    Raises ``InputError`` for an address that is none, ``MissingExtraError`` without aiohttp.
    """

    def __init__(
        self,
        url: str,
        api: Api,
        bodies: Mapping[str, bytes],
        *,
        key: str | None = None,
        deadline_ms: float | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(f"--url {url}: expected http://HOST:PORT or https://HOST")
        self._api, self._bodies = api, bodies
        self.url = url if parts.path.strip("/") else url.rstrip("/") + self._api.path
        self._headers = {"content-type": "application/json"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        self._deadline_ms = deadline_ms
        self._client = _aiohttp()
        self._session: Any = None

    async def __aenter__(self) -> Self:
        # No limit of connections: a client that waits for a free one would be a closed loop again.
        connector = self._client.TCPConnector(limit=0)
        self._session = self._client.ClientSession(
            connector=connector, headers=self._headers, timeout=self._client.ClientTimeout(total=None)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def answer(self, request: Request, late_ms: float = 0.0) -> Reply:
        left = time_left(self._deadline_ms, late_ms)
        headers = None if left is None else {"x-deadline-ms": f"{left:.6f}"}
        try:
            async with self._session.post(self.url, data=self._bodies[request.query_id], headers=headers) as response:
                raw = await response.read()
                at, status, told = clock(), response.status, response.headers
        except (self._client.ClientError, OSError) as error:
            return Reply("failed", clock(), type(error).__name__)
        if status != 200:
            return Reply("refused" if status in _REFUSED else "failed", at, f"HTTP {status}")
        try:
            found = json.loads(raw)
            top = order_of(self._api, found, len(request.documents), TOP_N)
        except ValueError as error:  # JSON's decoding error is one
            return Reply("failed", at, f"answer: {error}")
        part = explanation_of(found)
        degraded = told.get("x-degraded") == "true" or bool(part.get("degraded"))
        return Reply("answered", at, "", degraded, np.asarray(top, np.int32), _stages(part), _total(part, told))


def _stages(part: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    return tuple((str(stage["name"]), float(stage["ms"])) for stage in part.get("stages", ()))


def _total(part: Mapping[str, Any], headers: Any) -> float | None:
    """The server's own time; Text Embeddings Inference says it in a header, in whole milliseconds."""
    found = part.get("total_ms", headers.get("x-total-time"))
    try:
        return None if found is None else float(found)
    except ValueError:
        return None


def _aiohttp() -> Any:
    try:
        import aiohttp
    except ImportError as error:
        raise MissingExtraError(
            "a load over HTTP needs aiohttp, which is not installed; pip install 'cascaderank[load]'"
        ) from error
    return aiohttp
