"""What the rerank APIs have in common: fields of a request, parts of a response, this server's extensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from cascaderank.serve.request import Answer, Given, RankRequest, as_candidates

Positive = Annotated[int, msgspec.Meta(ge=1)]
Milliseconds = Annotated[float, msgspec.Meta(gt=0.0)]


class Extended(msgspec.Struct, kw_only=True):
    """Fields of this server that no API has; every API's request takes them."""

    ids: list[str] | None = None
    scores: list[float] | None = None
    deadline_ms: Milliseconds | None = None
    instruction: str | None = None
    explain: bool | None = None


class Asked(Extended, kw_only=True):
    """What the requests of Cohere, Jina, Voyage and Infinity have in common."""

    query: str
    documents: list[str | dict[str, Any]] | None = None
    model: str | None = None
    return_documents: bool | None = None


def rank_request(given: Asked, api: str, top_n: int | None, fields: Sequence[str] | None = None) -> RankRequest:
    """What ``given`` asks for; ``fields`` are those of an object that make its text."""
    documents: Sequence[Given] = given.documents or ()
    return RankRequest(
        query=given.query,
        documents=None if given.documents is None else as_candidates(documents, fields),
        given=documents,
        model=given.model,
        ids=given.ids,
        scores=given.scores,
        top_n=top_n,
        return_documents=bool(given.return_documents),
        deadline_ms=given.deadline_ms,
        instruction=given.instruction,
        explain=bool(given.explain),
        api=api,
    ).check()


class StageReport(msgspec.Struct, kw_only=True):
    """What one stage did, where a request asks to ``explain``."""

    name: str
    kind: str
    provider: str
    candidates_in: int
    scored: int
    candidates_out: int
    tokens: int
    truncated_documents: int
    ms: float
    model_ms: float
    note: str


class Explanation(msgspec.Struct, kw_only=True):
    """How the answer came about. ``score`` is what the scores are: a fusion's value, or the last stage's activation."""

    cascade: str
    generation: int
    score: str
    kept: int
    degraded: bool
    reasons: list[str]
    total_ms: float
    stages: list[StageReport]


class Hit(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A result of the Cohere, Jina and Voyage APIs; the last two fields only where a request asks to ``explain``."""

    index: int
    relevance_score: float
    document: Any = None
    stage: str | None = None
    scores: list[float | None] | None = None


def explanation(answer: Answer) -> Explanation | None:
    """None unless the request asks for it."""
    if not answer.request.explain:
        return None
    ranking = answer.ranking
    return Explanation(
        cascade=answer.cascade,
        generation=answer.generation,
        score=answer.score_kind,
        kept=ranking.kept,
        degraded=ranking.degraded,
        reasons=list(ranking.reasons),
        total_ms=ranking.trace.total_ms,
        stages=[
            StageReport(
                name=stage.name,
                kind=stage.kind,
                provider=stage.provider,
                candidates_in=stage.candidates_in,
                scored=stage.scored,
                candidates_out=stage.candidates_out,
                tokens=stage.tokens,
                truncated_documents=stage.truncated_documents,
                ms=stage.total_ms,
                model_ms=stage.model_ms,
                note=stage.note,
            )
            for stage in ranking.trace.stages
        ],
    )


def hits(answer: Answer, *, wrapped: bool = True) -> list[Hit]:
    """The results in order; ``wrapped`` says whether a returned text is ``{"text": ...}`` or the bare string."""
    request, ranking = answer.request, answer.ranking
    found = [Hit(index=index, relevance_score=score) for index, score in zip(answer.order, answer.scores, strict=True)]
    if request.return_documents:
        for hit in found:
            hit.document = _returned(request.given[hit.index], wrapped)
    if request.explain:
        for hit, one in zip(found, ranking, strict=True):
            hit.stage, hit.scores = one.stage or "", list(one.scores)
    return found


def _returned(given: Given, wrapped: bool) -> Any:
    if isinstance(given, str):
        return {"text": given} if wrapped else given
    return given if wrapped else given.get("text", given)


def search_units(count: int) -> int:
    """Cohere's unit: a query with up to 100 documents. Nobody is billed; clients read the field."""
    return math.ceil(count / 100)
