"""The OpenAPI description, made from the structs that decode and encode, so that it cannot differ from them."""

from __future__ import annotations

from typing import Any

import msgspec

from cascaderank.serve.shapes import cohere, infinity, jina, joint, tei, voyage

_RANKING = {
    "/v2/rerank": ("Cohere, version 2", cohere.Request, cohere.Response, cohere.ErrorBody),
    "/v1/rerank": ("Cohere 1, Jina and Voyage, told apart", joint.JointRequest, jina.Response, joint.ErrorBody),
    "/rerank": ("Text Embeddings Inference; `documents`: vLLM", tei.Request, list[tei.Rank], tei.ErrorBody),
    "/cohere/v1/rerank": ("Cohere, version 1", cohere.Request, cohere.Response, cohere.ErrorBody),
    "/cohere/v2/rerank": ("Cohere, version 2", cohere.Request, cohere.Response, cohere.ErrorBody),
    "/jina/v1/rerank": ("Jina", jina.JinaRequest, jina.Response, jina.ErrorBody),
    "/voyage/v1/rerank": ("Voyage", voyage.Request, voyage.Response, voyage.ErrorBody),
    "/infinity/rerank": ("Infinity", cohere.Request, infinity.Response, jina.ErrorBody),
    "/tei/rerank": ("Text Embeddings Inference", tei.Request, list[tei.Rank], tei.ErrorBody),
}  # fmt: skip
_FAILURES = {
    "400": "malformed, empty, or impossible",
    "401": "no valid API key",
    "404": "no cascade of that name",
    "408": "the body came too slowly",
    "413": "too large",
    "422": "a value of the wrong type or out of range",
    "429": "too many requests under way; Retry-After says when to come again",
    "503": "not ready",
    "504": "no answer in time",
}
_PLAIN = {
    "/health": ("get", "The process answers (liveness)"),
    "/ready": ("get", "200 while requests should come here, else 503 (readiness)"),
    "/metrics": ("get", "Prometheus metrics"),
    "/v1/models": ("get", "The cascades by name, their stages and generations"),
    "/admin/reload": ("post", "Put in place what lies on disk (admin key)"),
    "/admin/rollback": ("post", "Put back what served before (admin key)"),
}


def openapi() -> dict[str, Any]:
    """OpenAPI 3.1, whose schemas are JSON schemas as msgspec makes them."""
    from cascaderank import __version__

    types = list(dict.fromkeys(part for row in _RANKING.values() for part in row[1:]))
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema = dict(zip(types, schemas, strict=True))
    paths: dict[str, Any] = {}
    for path, (title, request, response, error) in _RANKING.items():
        answers = {"200": _content("A ranking", schema[response])}
        answers |= {status: _content(text, schema[error]) for status, text in _FAILURES.items()}
        body = {"required": True, "content": {"application/json": {"schema": schema[request]}}}
        paths[path] = {"post": {"summary": title, "requestBody": body, "responses": answers, "security": _KEYED}}
    for path, (method, title) in _PLAIN.items():
        paths[path] = {method: {"summary": title, "responses": {"200": {"description": "as said"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "cascaderank", "version": __version__},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


_KEYED: list[dict[str, list[str]]] = [{}, {"key": []}]


def _content(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}
