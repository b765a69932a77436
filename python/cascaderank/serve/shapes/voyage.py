"""Voyage's ``POST /v1/rerank``: ``top_k`` for ``top_n``, ``data`` for ``results``, returned texts as bare strings."""

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
)


class Request(Asked, kw_only=True):
    """``truncation`` false asks for an error where a document would be cut."""

    top_k: Positive | None = None
    truncation: bool | None = None


class Usage(msgspec.Struct):
    total_tokens: int


class Response(msgspec.Struct, kw_only=True, omit_defaults=True):
    object: str
    data: list[Hit]
    model: str
    usage: Usage
    warnings: list[str] = []
    cascade: Explanation | None = None


class ErrorBody(msgspec.Struct):
    detail: str


_decoder = msgspec.json.Decoder(Request)
_encode = msgspec.json.Encoder().encode


class Voyage:
    name = "voyage"

    def read(self, body: bytes) -> RankRequest:
        given = _decoder.decode(body)
        return replace(rank_request(given, self.name, given.top_k), strict=given.truncation is False)

    def write(self, answer: Answer) -> bytes:
        return _encode(
            Response(
                object="list",
                data=hits(answer, wrapped=False),
                model=answer.cascade,
                usage=Usage(answer.tokens),
                warnings=answer.warnings,
                cascade=explanation(answer),
            )
        )

    def fail(self, failure: Failure, request_id: str) -> bytes:
        return _encode(ErrorBody(failure.message))
