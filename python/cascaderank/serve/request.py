"""What every API's request comes down to, and what its answer is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cascaderank.results import Ranking
from cascaderank.serve.failures import Failure

_FLOAT32_MAX = 3.4e38  # scores are float32; a larger one would be infinite
Given = str | dict[str, Any]  # a document as the caller sent it


@dataclass(frozen=True, slots=True)
class RankRequest:
    """One request, whichever API it came by.

    ``documents`` is what the cascade takes; ``given`` what the caller sent, for an answer that returns it. ``strict``
    asks for an error where a document would be cut.
    """

    query: str
    documents: Sequence[object] | None
    given: Sequence[Given] = ()
    model: str | None = None
    ids: Sequence[str] | None = None
    scores: Sequence[float] | None = None
    top_n: int | None = None
    return_documents: bool = False
    deadline_ms: float | None = None
    instruction: str | None = None
    explain: bool = False
    strict: bool = False
    raw_scores: bool = False
    max_document_tokens: int | None = None
    api: str = ""

    @property
    def size(self) -> int:
        """How many candidates."""
        return len(self.ids or ()) if self.documents is None else len(self.documents)

    @property
    def named(self) -> bool:
        """Whether every candidate has an id that a store may know; an id made of its place would be another's."""
        if self.documents is None:
            return True
        return all(isinstance(document, dict) and "id" in document for document in self.documents)

    def check(self) -> RankRequest:
        """Raises ``Failure`` for what no API allows."""
        if (self.documents is None) == (self.ids is None):
            raise Failure(400, "give either documents or ids (of the server's store), not both and not neither")
        if self.documents is None and self.return_documents:
            raise Failure(400, "return_documents: the server has no texts of documents that are named by ids")
        if not self.size:
            raise Failure(400, "documents: empty; there is nothing to rank", "Empty")
        return self


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranking and what the envelope around it says. ``scores`` go with the ranking's order and never rise."""

    id: str
    request: RankRequest
    ranking: Ranking
    order: list[int]
    scores: list[float]
    cascade: str
    score_kind: str
    generation: int

    @property
    def tokens(self) -> int:
        """Tokens that models read for this request, over all stages."""
        return sum(stage.tokens for stage in self.ranking.trace.stages)

    @property
    def warnings(self) -> list[str]:
        """What the caller should know of: work left out, documents cut."""
        found = list(self.ranking.reasons)
        for stage in self.ranking.trace.stages:
            if stage.truncated_documents:
                limit = self.request.max_document_tokens
                where = "its window" if limit is None else f"{limit} tokens, or to its window"
                found.append(f"stage {stage.name!r} cut {stage.truncated_documents} documents to {where}")
            if stage.truncated_query_tokens:
                found.append(f"stage {stage.name!r} cut {stage.truncated_query_tokens} tokens of the query")
        return found


def as_candidates(given: Sequence[Given], fields: Sequence[str] | None = None) -> Sequence[object]:
    """Documents as the cascade takes them: all strings, or all dicts with ``text``, and with ``id`` and ``score`` where
    those are good for all of them.

    ``fields`` names the keys of an object whose values are joined by line breaks; ``text`` alone by default. In the
    APIs an object's other keys are the caller's own: an ``id`` counts where every document has one, a string, and no
    two the same; a ``score`` where every document has a finite number.
    """
    if all(type(document) is str for document in given):
        return given
    found: list[dict[str, Any]] = [
        {"text": document} if isinstance(document, str) else {"text": _text(document, index, fields)}
        for index, document in enumerate(given)
    ]
    for key, usable in (("id", _are_ids), ("score", _are_scores)):
        values = [document.get(key) for document in given if isinstance(document, dict)]
        if len(values) == len(given) and usable(values):
            for one, value in zip(found, values, strict=True):
                one[key] = value
    return found


def _are_ids(values: Sequence[Any]) -> bool:
    return all(type(value) is str for value in values) and len(set(values)) == len(values)


def _are_scores(values: Sequence[Any]) -> bool:
    return all(type(value) in (int, float) and abs(value) <= _FLOAT32_MAX for value in values)


def _text(document: Mapping[str, Any], index: int, fields: Sequence[str] | None) -> str:
    names = fields or ("text",)
    parts = [document[name] for name in names if name in document]
    if not parts:
        raise Failure(
            400, f"documents[{index}]: none of the fields {', '.join(names)}; has {', '.join(document)[:200]}"
        )
    for part in parts:
        if not isinstance(part, str):
            raise Failure(422, f"documents[{index}]: expected text, got {type(part).__name__}")
    return parts[0] if len(parts) == 1 else "\n".join(parts)
