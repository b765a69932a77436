"""Text Embeddings Inference's ``POST /rerank``; a body with ``documents`` in place of ``texts`` is taken as vLLM and
Infinity take it there, and gets the answer of ``/v1/rerank``."""

from __future__ import annotations

from typing import Literal

import msgspec

from cascaderank.serve.failures import Failure
from cascaderank.serve.request import Answer, RankRequest
from cascaderank.serve.shapes.common import Extended
from cascaderank.serve.shapes.joint import Joint

_JOINT = Joint()


class Request(Extended, kw_only=True):
    """``truncate`` false asks for an error where a text would be cut. ``raw_scores`` gives logits, otherwise the
    cascade's own score: the last model's activation, or its fusion's value."""

    query: str
    texts: list[str] | None = None
    raw_scores: bool | None = None
    return_text: bool | None = None
    truncate: bool | None = None
    truncation_direction: Literal["Right", "right"] | None = None
    model: str | None = None


class _Which(msgspec.Struct):
    documents: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Rank(msgspec.Struct, kw_only=True, omit_defaults=True):
    index: int
    score: float
    text: str | None = None


class ErrorBody(msgspec.Struct):
    error: str
    error_type: str


_decoder = msgspec.json.Decoder(Request)
_which = msgspec.json.Decoder(_Which)
_encode = msgspec.json.Encoder().encode


class Tei:
    name = "tei"

    def read(self, body: bytes) -> RankRequest:
        given = _decoder.decode(body)
        if given.texts is None and _which.decode(body).documents is not msgspec.UNSET:
            return _JOINT.read(body)
        texts = given.texts
        if texts is None and given.ids is None:
            raise Failure(422, "request body: Object missing required field `texts`")
        return RankRequest(
            query=given.query,
            documents=texts,
            given=texts or (),
            model=given.model,
            ids=given.ids,
            scores=given.scores,
            return_documents=bool(given.return_text),
            deadline_ms=given.deadline_ms,
            instruction=given.instruction,
            strict=given.truncate is False,
            raw_scores=bool(given.raw_scores),
            api=self.name,
        ).check()

    def write(self, answer: Answer) -> bytes:
        if answer.request.api != self.name:
            return _JOINT.write(answer)
        ranks = [Rank(index=index, score=score) for index, score in zip(answer.order, answer.scores, strict=True)]
        if answer.request.return_documents:
            for rank in ranks:
                text = answer.request.given[rank.index]
                rank.text = text if isinstance(text, str) else None
        return _encode(ranks)

    def fail(self, failure: Failure, request_id: str) -> bytes:
        return _encode(ErrorBody(failure.message, failure.kind))
