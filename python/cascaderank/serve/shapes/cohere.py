"""Cohere's ``POST /v2/rerank`` and ``/v1/rerank``."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from cascaderank.serve.failures import Failure
from cascaderank.serve.request import Answer, RankRequest
from cascaderank.serve.shapes.common import (
    Asked,
    Explanation,
    Hit,
    Positive,
    explanation,
    hits,
    rank_request,
    search_units,
)


class Request(Asked, kw_only=True):
    """``rank_fields`` and ``return_documents`` are version 1's. ``max_tokens_per_doc`` cuts longer documents, where
    the models' own windows do not cut them shorter; Cohere's default of 4096 is not taken. ``max_chunks_per_doc`` and
    ``priority`` are taken and have no effect: documents are not read in chunks, requests go by deadline and arrival."""

    top_n: Positive | None = None
    rank_fields: list[str] | None = None
    max_tokens_per_doc: Positive | None = None
    max_chunks_per_doc: Positive | None = None
    priority: int | None = None


class ApiVersion(msgspec.Struct):
    version: str


class BilledUnits(msgspec.Struct):
    search_units: int
    total_tokens: int


class Meta(msgspec.Struct, kw_only=True, omit_defaults=True):
    api_version: ApiVersion
    billed_units: BilledUnits
    warnings: list[str] = []
    cascade: Explanation | None = None


class Response(msgspec.Struct, kw_only=True):
    id: str
    results: list[Hit]
    meta: Meta


class ErrorBody(msgspec.Struct):
    message: str
    id: str


_decoder = msgspec.json.Decoder(Request)
_encode = msgspec.json.Encoder().encode


class Cohere:
    """``version`` is "1" or "2"."""

    def __init__(self, version: str) -> None:
        self.name = f"cohere-v{version}"
        self._version = version

    def read(self, body: bytes) -> RankRequest:
        return read_request(_decoder.decode(body), self.name)

    def write(self, answer: Answer) -> bytes:
        return _encode(Response(id=answer.id, results=hits(answer), meta=meta(answer, self._version)))

    def fail(self, failure: Failure, request_id: str) -> bytes:
        return _encode(ErrorBody(failure.message, request_id))


def read_request(given: Request, api: str) -> RankRequest:
    """Also for the APIs whose request is Cohere's with other words around it."""
    request = rank_request(given, api, given.top_n, given.rank_fields)
    return replace(request, max_document_tokens=given.max_tokens_per_doc)


def meta(answer: Answer, version: str) -> Meta:
    return Meta(
        api_version=ApiVersion(version),
        billed_units=BilledUnits(search_units(answer.request.size), answer.tokens),
        warnings=answer.warnings,
        cascade=explanation(answer),
    )
