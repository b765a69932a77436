"""Requests to measure a cascade with: queries, each with the candidates a first pass found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cascaderank.cascade import Cascade
from cascaderank.documents import Document
from cascaderank.errors import InputError
from cascaderank.evaluate.data import BeirData
from cascaderank.first_pass import Bm25
from cascaderank.results import Ranking
from cascaderank.store import Store

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Request:
    """One query and its candidates, best first: ``ids`` and ``scores`` are the first pass's."""

    query_id: str
    query: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]
    documents: tuple[Document, ...]

    def answer(
        self, cascade: Cascade, store: Store | None, *, top_n: int | None = None, deadline_ms: float | None = None
    ) -> Ranking:
        """Rank by ids of the store, or the texts themselves without one."""
        if store is None:
            return cascade.rank(self.query, self.documents, top_n=top_n, deadline_ms=deadline_ms)
        return cascade.rank(
            self.query, ids=self.ids, scores=self.scores, store=store, top_n=top_n, deadline_ms=deadline_ms
        )


def make_requests(data: BeirData, candidates: int, progress: Progress | None = None) -> list[Request]:
    """BM25's best ``candidates`` documents for every query of ``data``, in its order."""
    if not data.queries:
        raise InputError("the collection has no judged query with a relevant document; nothing can be measured")
    ids, texts = list(data.corpus), list(data.corpus.values())
    index = Bm25(texts)
    found: list[Request] = []
    for number, (query_id, query) in enumerate(data.queries.items(), start=1):
        rows, values = index.top(query, candidates)
        scores = tuple(values.tolist())
        documents = tuple(
            Document(ids[row], texts[row], score) for row, score in zip(rows.tolist(), scores, strict=True)
        )
        found.append(Request(query_id, query, tuple(document.id for document in documents), scores, documents))
        if progress is not None:
            progress(number, len(data.queries))
    return found


def candidate_documents(requests: Iterable[Request]) -> list[Document]:
    """Every document that is a candidate of some request, once, without its score: what a store must hold."""
    seen: dict[str, Document] = {}
    for request in requests:
        for document in request.documents:
            if document.id not in seen:
                seen[document.id] = Document(document.id, document.text)
    return list(seen.values())


def evenly(requests: Sequence[Request], count: int) -> list[Request]:
    """``count`` of the requests at equal distances; all of them where there are no more."""
    if count >= len(requests):
        return list(requests)
    return [requests[place * len(requests) // count] for place in range(count)]


def ranked_ids(ranking: Ranking, ids: Sequence[str]) -> list[str]:
    """The ids in the order of a ranking of them."""
    return [ids[index] for index in ranking.order.tolist()]
