"""Voyage's ``POST /v1/rerank``: ``top_k`` for ``top_n``, ``data`` for ``results``, returned texts as bare strings."""

from __future__ import annotations

from typing import Any

import msgspec

from cascaderank.serve.failures import Failure
from cascaderank.serve.request import Answer, RankRequest, as_candidates
from cascaderank.serve.shapes.common import (
    Explanation,
    Extended,
    Hit,
    Positive,
    explanation,
    given_documents,
    hits,
)


class Request(Extended, kw_only=True):
    """``truncation`` false asks for an error where a document would be cut."""

    query: str
    documents: list[str | dict[str, Any]] | None = None
    model: str | None = None
    top_k: Positive | None = None
    return_documents: bool | None = None
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
        return rank_request(_decoder.decode(body))

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


def rank_request(given: Request) -> RankRequest:
    documents = given_documents(given.documents)
    return RankRequest(
        query=given.query,
        documents=None if given.documents is None else as_candidates(documents),
        given=documents,
        model=given.model,
        ids=given.ids,
        scores=given.scores,
        top_n=given.top_k,
        return_documents=bool(given.return_documents),
        deadline_ms=given.deadline_ms,
        instruction=given.instruction,
        explain=bool(given.explain),
        strict=given.truncation is False,
        api=Voyage.name,
    ).check()
