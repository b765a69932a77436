"""Labelled pairs: which query-document pairs a calibration is fitted on, and the logits a model gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascaderank.documents import Document
from cascaderank.errors import InputError
from cascaderank.evaluate.data import BeirData
from cascaderank.evaluate.requests import Request
from cascaderank.golden import raw_logits
from cascaderank.stages import Scorer

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LabelledPairs:
    """Pairs as columns of one length: ``logits`` float32, ``labels`` bool (relevant or not), ``queries`` int64 (which
    query a pair is of: what is held back is always all pairs of a query)."""

    logits: NDArray[np.float32]
    labels: NDArray[np.bool_]
    queries: NDArray[np.int64]

    def __post_init__(self) -> None:
        found, relevant = len(np.unique(self.queries)), int(self.labels.sum())
        if found < 2:
            raise InputError(
                f"calibration: {found} query; at least 2 are needed to hold one back, 100 or more to rely on"
            )
        if not 0 < relevant < len(self.labels):
            raise InputError(
                f"calibration: {relevant} of {len(self.labels)} pairs are relevant; both relevant and other pairs are "
                "needed, look at the judgements and at --relevant-from"
            )


def judged_only(data: BeirData) -> list[Request]:
    """The judged documents of every query as its candidates: for collections that judge relevant and other ones."""
    found: list[Request] = []
    for query_id, query in data.queries.items():
        names = tuple(data.qrels[query_id])
        documents = tuple(Document(name, data.corpus[name]) for name in names)
        found.append(Request(query_id, query, names, (0.0,) * len(names), documents))
    return found


def score_pairs(
    scorer: Scorer,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    relevant_from: int,
    progress: Progress | None = None,
) -> LabelledPairs:
    """Every candidate of every request with the model's logit; a document without a judgement is not relevant."""
    logits: list[NDArray[np.float32]] = []
    labels: list[bool] = []
    queries: list[int] = []
    for number, request in enumerate(requests):
        if request.documents:
            logits.append(raw_logits(scorer, [(request.query, document.text) for document in request.documents]))
            grades = qrels[request.query_id]
            labels += [grades.get(name, 0) >= relevant_from for name in request.ids]
            queries += [number] * len(request.ids)
        if progress is not None:
            progress(number + 1, len(requests))
    found = np.concatenate(logits) if logits else np.empty(0, np.float32)
    return LabelledPairs(found, np.array(labels, np.bool_), np.array(queries, np.int64))
