"""nDCG@10 before and after quantisation, on a labelled collection in the layout of BEIR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cascaderank.evaluate.data import load_beir
from cascaderank.evaluate.metrics import ndcg
from cascaderank.export.engine import Engine
from cascaderank.export.report import Progress, QualityReport
from cascaderank.first_pass import Bm25

CANDIDATES = 30
QUERIES = 50


def measure_quality(
    fp32: Path,
    int8: Path,
    data: Path,
    *,
    split: str = "dev",
    candidates: int = CANDIDATES,
    queries: int = QUERIES,
    progress: Progress | None = None,
) -> QualityReport:
    """Rerank BM25's top ``candidates`` for the first ``queries`` queries of ``split`` with both folders.

    Whoever BM25 did not find is not reranked, so the figures compare the two folders and nothing else. Documents are
    cut at the model's window. Raises ``InputError`` for a folder that is not in the layout of BEIR.
    """
    collection = load_beir(data, split)
    identifiers = list(collection.corpus)
    texts = list(collection.corpus.values())
    bm25 = Bm25(texts)
    chosen = list(collection.queries)[:queries]
    values: dict[Path, list[float]] = {fp32: [], int8: []}
    with Engine(fp32) as before, Engine(int8) as after:
        limit = before.query_limit()
        taken = [name for name in chosen if before.count_tokens(collection.queries[name]) <= limit]
        for done, name in enumerate(taken):
            if progress is not None:
                progress(done, len(taken), f"nDCG@10 of fp32 and int8 on {data.name}")
            query = collection.queries[name]
            found, _ = bm25.top(query, candidates)
            for folder, engine in ((fp32, before), (int8, after)):
                logits = engine.rank_logits(query, [texts[place] for place in found])
                order = found[np.argsort(-logits, kind="stable")]
                ranked = [identifiers[place] for place in order]
                values[folder].append(ndcg(collection.qrels[name], ranked, k=10))
    if progress is not None:
        progress(len(taken), len(taken), f"nDCG@10 of fp32 and int8 on {data.name}")
    return QualityReport(
        data=f"{data.name} {split}, {len(taken)} queries, BM25 top {candidates}",
        queries=len(taken),
        ndcg10_fp32=float(np.mean(values[fp32])),
        ndcg10_int8=float(np.mean(values[int8])),
    )
