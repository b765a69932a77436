"""The ASGI application: which path answers what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cascaderank.serve.admin import Admin, as_json
from cascaderank.serve.edge import Edge
from cascaderank.serve.pages import docs_page, openapi_json, try_page
from cascaderank.serve.rerank import rerank
from cascaderank.serve.service import Service
from cascaderank.serve.shapes import Shape
from cascaderank.serve.shapes.cohere import Cohere
from cascaderank.serve.shapes.infinity import Infinity
from cascaderank.serve.shapes.jina import Jina
from cascaderank.serve.shapes.joint import Joint
from cascaderank.serve.shapes.tei import Tei
from cascaderank.serve.shapes.voyage import Voyage

SHAPES: dict[str, Shape] = {
    "/v2/rerank": Cohere("2"),
    "/v1/rerank": Joint(),
    "/rerank": Tei(),
    "/cohere/v1/rerank": Cohere("1"),
    "/cohere/v2/rerank": Cohere("2"),
    "/jina/v1/rerank": Jina(),
    "/voyage/v1/rerank": Voyage(),
    "/infinity/rerank": Infinity(),
    "/tei/rerank": Tei(),
}


def create_app(service: Service) -> Starlette:
    """An application that loads its cascades when an ASGI server starts it, and answers ``/health`` meanwhile."""
    admin = Admin(service)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        starting = asyncio.create_task(service.start())
        yield
        starting.cancel()  # the cascades that are not loaded yet are not needed any more
        await asyncio.wait([starting])
        await service.stop()

    routes = [Route(path, rerank(service, shape), methods=["POST"]) for path, shape in SHAPES.items()]
    routes += [
        Route("/health", admin.health),
        Route("/ready", admin.ready),
        Route("/metrics", admin.metrics),
        Route("/v1/models", admin.cascades),
        Route("/admin/reload", admin.reload, methods=["POST"]),
        Route("/admin/rollback", admin.rollback, methods=["POST"]),
        Route("/", try_page),
        Route("/docs", docs_page),
        Route("/openapi.json", openapi_json),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Edge)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would name whatever host the request claims
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    """Unknown paths and methods."""
    assert isinstance(error, HTTPException)  # registered for these alone
    message = f"{error.detail}: {request.method} {request.url.path[:200]}; /docs lists what there is"
    return as_json({"message": message, "detail": message}, error.status_code, dict(error.headers or {}))
