"""Infinity's ``POST /rerank``: the answer of Jina with returned documents as bare strings."""

from __future__ import annotations

import msgspec

from cascaderank.serve.failures import Failure
from cascaderank.serve.request import Answer, RankRequest
from cascaderank.serve.shapes.cohere import Request, read_request
from cascaderank.serve.shapes.common import Hit, hits
from cascaderank.serve.shapes.jina import ErrorBody, Usage

_decoder = msgspec.json.Decoder(Request)
_encode = msgspec.json.Encoder().encode


class Response(msgspec.Struct, kw_only=True):
    id: str
    object: str
    model: str
    results: list[Hit]
    usage: Usage


class Infinity:
    name = "infinity"

    def read(self, body: bytes) -> RankRequest:
        return read_request(_decoder.decode(body), self.name)

    def write(self, answer: Answer) -> bytes:
        found = hits(answer, wrapped=False)
        usage = Usage(answer.tokens, answer.tokens)
        return _encode(Response(id=answer.id, object="rerank", model=answer.cascade, results=found, usage=usage))

    def fail(self, failure: Failure, request_id: str) -> bytes:
        return _encode(ErrorBody(failure.message))
