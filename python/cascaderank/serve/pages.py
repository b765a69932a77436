"""Two pages for people: try a query and see the stages, and the OpenAPI description. Nothing is fetched from elsewhere:
no scripts, fonts or styles of other hosts, so they work offline."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cascaderank.serve.openapi import openapi

# A page may run what it brings along and ask this server, nothing else; nobody may frame it.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def try_page(request: Request) -> Response:
    return _page("try.html")


async def docs_page(request: Request) -> Response:
    return _page("docs.html")


async def openapi_json(request: Request) -> Response:
    return Response(_openapi(), media_type="application/json")


@cache
def _openapi() -> bytes:
    return msgspec.json.encode(openapi())


@cache
def _text(name: str) -> bytes:
    """A page after the head that all have."""
    return b"".join(files("cascaderank.serve").joinpath(part).read_bytes() for part in ("head.html", name))


def _page(name: str) -> Response:
    headers = {
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    return Response(_text(name), media_type="text/html", headers=headers)
