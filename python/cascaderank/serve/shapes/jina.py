"""Jina's ``POST /v1/rerank``: Cohere's request, ``usage`` in the response, documents returned unless asked not to."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from cascaderank.serve.failures import Failure
from cascaderank.serve.request import Answer, RankRequest
from cascaderank.serve.shapes.cohere import Meta, Request, meta, read_request
from cascaderank.serve.shapes.common import Hit, hits


class JinaRequest(Request, kw_only=True):
    """``truncation`` false asks for an error where a document would be cut."""

    return_documents: bool | None = True
    truncation: bool | None = None


class Usage(msgspec.Struct):
    total_tokens: int
    prompt_tokens: int


class Response(msgspec.Struct, kw_only=True):
    id: str
    model: str
    object: str
    results: list[Hit]
    usage: Usage
    meta: Meta


class ErrorBody(msgspec.Struct):
    detail: str


_decoder = msgspec.json.Decoder(JinaRequest)
_encode = msgspec.json.Encoder().encode


class Jina:
    name = "jina"

    def read(self, body: bytes) -> RankRequest:
        given = _decoder.decode(body)
        if given.documents is None:
            given.return_documents = False
        request = read_request(given, self.name)
        return replace(request, strict=True) if given.truncation is False else request

    def write(self, answer: Answer) -> bytes:
        return _encode(response(answer, "1"))

    def fail(self, failure: Failure, request_id: str) -> bytes:
        return _encode(ErrorBody(failure.message))


def response(answer: Answer, version: str) -> Response:
    usage = Usage(answer.tokens, answer.tokens)
    return Response(
        id=answer.id,
        model=answer.cascade,
        object="list",
        results=hits(answer),
        usage=usage,
        meta=meta(answer, version),
    )
