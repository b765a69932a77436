"""nDCG@10 before and after a change of precision, on a labelled collection in the layout of BEIR, and what is lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cascaderank.errors import InputError, ModelError
from cascaderank.evaluate.data import load_beir
from cascaderank.evaluate.metrics import ndcg
from cascaderank.export.engine import Engine, Float32
from cascaderank.export.report import Progress, QualityReport
from cascaderank.first_pass import Bm25

CANDIDATES = 30
QUERIES = 50
MAX_LOSS = 0.01

Scores = Callable[[str, Sequence[str]], Float32]
"""A query and documents -> what orders them, float32 ``[documents]``, larger is better."""


def measure_quality(
    before: Scores,
    after: Engine,
    data: Path,
    *,
    split: str = "dev",
    candidates: int = CANDIDATES,
    queries: int = QUERIES,
    progress: Progress | None = None,
) -> QualityReport:
    """Rerank BM25's top ``candidates`` for the first ``queries`` queries of ``split`` by both scores.

    ``before`` is fp32 (``Engine.rank_logits``, or the framework's), ``after`` the folder to judge. Whoever BM25 did not
    find is not reranked, so the figures compare the two and nothing else. Documents are cut at the model's window.
    Raises ``InputError`` for a folder that is not in the layout of BEIR or has fewer than two queries, ``ModelError``
    for a score that is no number.
    """
    collection = load_beir(data, split)
    identifiers = list(collection.corpus)
    texts = list(collection.corpus.values())
    bm25 = Bm25(texts)
    limit, precision = after.query_limit(), after.spec.precision
    chosen = list(collection.queries)[:queries]
    taken = [name for name in chosen if after.count_tokens(collection.queries[name]) <= limit]
    if len(taken) < 2:
        raise InputError(f"{data}: {len(taken)} queries in {split} that fit the model; a loss needs two or more")
    what = f"nDCG@10 of fp32 and {precision} on {Path(data).name}"
    values: list[tuple[float, float]] = []
    for done, name in enumerate(taken):
        if progress is not None:
            progress(done, len(taken), what)
        query = collection.queries[name]
        found, _ = bm25.top(query, candidates)
        documents = [texts[place] for place in found]
        both = [score(query, documents) for score in (before, after.rank_logits)]
        if not np.isfinite(both).all():
            raise ModelError(
                f"{after.spec.name}: a score of {precision} or fp32 is no finite number for query {query[:60]!r}; "
                "use another precision, such as fp32"
            )
        ranked = [[identifiers[place] for place in found[np.argsort(-logits, kind="stable")]] for logits in both]
        values.append((ndcg(collection.qrels[name], ranked[0], k=10), ndcg(collection.qrels[name], ranked[1], k=10)))
    if progress is not None:
        progress(len(taken), len(taken), what)
    figures = np.array(values)
    losses = figures[:, 0] - figures[:, 1]
    return QualityReport(
        data=f"{Path(data).name} {split}, {len(taken)} queries, BM25 top {candidates}",
        queries=len(taken),
        precision=precision,
        ndcg10_fp32=float(figures[:, 0].mean()),
        ndcg10=float(figures[:, 1].mean()),
        loss_error=float(losses.std(ddof=1) / math.sqrt(len(losses))),
    )


def gate_quality(report: QualityReport, name: str, max_loss: float = MAX_LOSS) -> None:
    """Raise ``ModelError`` where the data show that more than ``max_loss`` of fp32's nDCG@10 is lost: where the loss
    is above that by more than two standard errors of the paired differences."""
    if report.shows_more_than(max_loss):
        raise ModelError(
            f"{name}: {report.precision} loses {report.loss:.4f} ± {report.loss_error:.4f} of fp32's nDCG@10 "
            f"{report.ndcg10_fp32:.4f} on {report.data}: more than {max_loss:.1%} beyond its noise (two standard "
            "errors); use a finer precision, or allow it with max_ndcg_loss"
        )
