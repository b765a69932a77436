"""``POST /v1/rerank`` as Cohere (version 1), Jina and Voyage all have it, told apart by the request's own words.

``top_k`` or ``truncation`` is Voyage's way of asking and gets Voyage's answer; everything else gets the answer of
Cohere and Jina in one: ``results`` with ``id``, ``model``, ``usage`` and ``meta``. Documents are returned where asked
for, as Cohere does; ``/jina/v1/rerank`` returns them by default, as Jina does.
"""

from __future__ import annotations

import msgspec

from cascaderank.serve.failures import Failure
from cascaderank.serve.request import Answer, RankRequest
from cascaderank.serve.shapes import voyage
from cascaderank.serve.shapes.cohere import Request, read_request
from cascaderank.serve.shapes.common import Positive
from cascaderank.serve.shapes.jina import response

_VOYAGE = voyage.Voyage()


class JointRequest(Request, kw_only=True):
    top_k: Positive | msgspec.UnsetType | None = msgspec.UNSET
    truncation: bool | msgspec.UnsetType | None = msgspec.UNSET


class ErrorBody(msgspec.Struct):
    message: str
    detail: str
    id: str


_decoder = msgspec.json.Decoder(JointRequest)
_encode = msgspec.json.Encoder().encode


class Joint:
    name = "cohere-v1"

    def read(self, body: bytes) -> RankRequest:
        given = _decoder.decode(body)
        if given.top_k is msgspec.UNSET and given.truncation is msgspec.UNSET:
            return read_request(given, self.name)
        if given.top_n is not None:
            raise Failure(
                422, "top_n is Cohere's and Jina's word, top_k and truncation are Voyage's; use one API's words"
            )
        return _VOYAGE.read(body)

    def write(self, answer: Answer) -> bytes:
        return _VOYAGE.write(answer) if answer.request.api == _VOYAGE.name else _encode(response(answer, "1"))

    def fail(self, failure: Failure, request_id: str) -> bytes:
        return _encode(ErrorBody(failure.message, failure.message, request_id))
