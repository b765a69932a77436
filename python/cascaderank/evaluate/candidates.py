"""The candidates of every query: from a run file, by BM25, by a bi-encoder's vectors, or by both fused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cascaderank.cascade import Cascade
from cascaderank.config import CascadeConfig, Stage
from cascaderank.documents import Document
from cascaderank.errors import InputError
from cascaderank.evaluate.data import BeirData
from cascaderank.evaluate.requests import Request
from cascaderank.evaluate.trec import Run
from cascaderank.first_pass import Bm25
from cascaderank.store import Store

FIRST_PASSES = ("bm25", "dense", "hybrid")
Progress = Callable[[int, int], None]


def requests_from_run(data: BeirData, run: Run, count: int) -> list[Request]:
    """The best ``count`` documents of a run for every judged query; a query the run leaves out has no candidates.

    Raises ``InputError`` for a document that is not in the corpus, and where run and judgements share no query.
    """
    if not any(query in run for query in data.queries):
        raise InputError("the run has no judged query of this collection; are they of the same collection and split?")
    found: list[Request] = []
    for query_id, query in data.queries.items():
        entries = run.get(query_id, [])[:count]
        for document, _ in entries:
            if document not in data.corpus:
                raise InputError(f"run: document {document!r} of query {query_id!r} is not in the corpus")
        found.append(_request(data, query_id, query, [name for name, _ in entries], [score for _, score in entries]))
    return found


def require_candidates(requests: Sequence[Request]) -> None:
    """Raise ``InputError`` where a query has none: a rule that is chosen on labelled queries has to count every one."""
    empty = [request.query_id for request in requests if not request.ids]
    if empty:
        raise InputError(
            f"run: no candidates for {len(empty)} of {len(requests)} judged queries, {empty[0]!r} is the first; every "
            "query counts, so give a run that covers them, or leave them out of the qrels"
        )


def requests_by_vectors(
    data: BeirData,
    config: CascadeConfig,
    stage: Stage,
    store: Store,
    count: int,
    *,
    hybrid: bool,
    progress: Progress | None = None,
) -> list[Request]:
    """The ``count`` documents nearest to each query by a bi-encoder; ``store`` holds its vectors of the whole corpus.

    ``stage`` is the bi-encoder's in the cascade ``config``: searching takes over where and how it runs, and whether a
    long query is truncated, and none of its limits.

    ``hybrid`` fuses them with BM25 by reciprocal ranks over the corpus (k = 60; Cormack, Clarke and Buettcher, 2009);
    documents without a word of the query share BM25's last ranks, in the order of the corpus.
    """
    ids = list(data.corpus)
    index = Bm25(list(data.corpus.values())) if hybrid else None
    whole = Stage(
        stage.model, keep=len(ids), provider=stage.provider, device=stage.device, precision=stage.precision,
        token_budget=stage.token_budget, max_rows=stage.max_rows, threads=stage.threads, spinning=stage.spinning,
    )  # fmt: skip
    config = CascadeConfig(
        (whole,), fusion="rrf" if hybrid else "last", max_candidates=len(ids), base=config.base, workers=config.workers,
        truncate_query=config.truncate_query, check_golden=config.check_golden,
    )  # fmt: skip
    found: list[Request] = []
    with Cascade(config) as search:
        for number, (query_id, query) in enumerate(data.queries.items(), start=1):
            words = None if index is None else index.scores(query)
            ranking = search.rank(query, ids=ids, scores=words, store=store, top_n=min(count, len(ids)))
            best = [ids[place] for place in ranking.order.tolist()]
            found.append(_request(data, query_id, query, best, ranking.values.tolist()))
            if progress is not None:
                progress(number, len(data.queries))
    return found


def _request(data: BeirData, query_id: str, query: str, ids: list[str], scores: list[float]) -> Request:
    documents = tuple(Document(name, data.corpus[name], score) for name, score in zip(ids, scores, strict=True))
    return Request(query_id, query, tuple(ids), tuple(scores), documents)
