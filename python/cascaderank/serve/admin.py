"""What operators and probes ask: health, readiness, metrics, the cascades, reload and rollback."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from cascaderank.errors import CascadeError
from cascaderank.serve.body import Disconnected, read_body
from cascaderank.serve.deployment import Deployment
from cascaderank.serve.failures import Failure, failure_of
from cascaderank.serve.live import Generation
from cascaderank.serve.metrics import CONTENT_TYPE
from cascaderank.serve.service import Service

_encode = msgspec.json.Encoder().encode


class _Which(msgspec.Struct):
    cascade: str | None = None


_which = msgspec.json.Decoder(_Which)


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON response, encoded natively."""
    return Response(_encode(value), status, headers, "application/json")


class Admin:
    """The endpoints; ``reload`` and ``rollback`` need an admin key and are switched off where none is set."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def health(self, request: Request) -> Response:
        """The process answers, whether or not it is ready: a liveness probe."""
        return as_json({"status": "ok", "state": self._service.state})

    async def ready(self, request: Request) -> Response:
        """200 while requests should come here, 503 before and after: a readiness probe."""
        state = self._service.state
        return as_json({"status": state}, 200 if state == "ready" else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self._service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def cascades(self, request: Request) -> Response:
        """Names, stages and generations; in the form of OpenAI's ``/v1/models``, which clients list models with."""
        parts = self._service.deployments.items()
        return as_json({"object": "list", "data": [_described(name, part) for name, part in parts]})

    async def reload(self, request: Request) -> Response:
        """Put in place what lies on disk; 409 and no change where that is no good."""
        return await self._change(request, "reload")

    async def rollback(self, request: Request) -> Response:
        """Put back what served before."""
        return await self._change(request, "rollback")

    async def _change(self, request: Request, what: str) -> Response:
        service = self._service
        try:
            if service.admin_keys.open:
                raise Failure(403, "no admin key is set (--admin-key-file); change files in place or send SIGHUP")
            service.admin_keys.check(request.headers)
            body = await read_body(request, 1 << 16, service.settings.body_timeout_s)
            wanted = _which.decode(body) if body.strip() else _Which()
            deployment = service.find(wanted.cascade)
            try:
                found = await (deployment.reload() if what == "reload" else deployment.rollback())
            except CascadeError as error:
                raise Failure(409, str(error)) from error
            return as_json(_generation(deployment.name, found))
        except Disconnected:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001  every failure is answered
            failure = failure_of(error)
            return as_json({"message": failure.message}, failure.status, failure.headers)


def _generation(name: str, generation: Generation) -> dict[str, Any]:
    models = [spec.digest[:12] for spec in generation.cascade.models]
    return {"cascade": name, "generation": generation.number, "models": models}


def _described(name: str, deployment: Deployment) -> dict[str, Any]:
    live = deployment.live.current
    known: dict[str, Any] = {"id": name, "object": "model", "owned_by": "cascaderank"}
    if live is None:
        return known
    cascade = live.cascade
    stages = [
        {"name": stage_name, "model": spec.name, "kind": spec.kind, "precision": spec.precision, "keep": stage.keep,
         "provider": provider, "digest": spec.digest[:12]}
        for stage_name, spec, stage, provider in zip(
            cascade.names, cascade.models, cascade.config.stages, cascade.providers, strict=True
        )
    ]  # fmt: skip
    previous = None if deployment.previous is None else deployment.previous.number
    return known | {
        "generation": live.number, "previous": previous, "refused": deployment.refused, "score": live.score_kind,
        "stages": stages,
    }  # fmt: skip
