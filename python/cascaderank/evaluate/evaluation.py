"""One evaluation of a cascade, alone or beside another: plain data that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.errors import InputError
from cascaderank.evaluate.answers import Answer, Progress, answer_all
from cascaderank.evaluate.bench import describe_cascade, describe_machine
from cascaderank.evaluate.measures import import_ir_measures
from cascaderank.evaluate.paired import TEST, compare
from cascaderank.evaluate.points import ALL_MEASURES, Qrels, find_losses, measure_points, measure_times, scored_pairs
from cascaderank.evaluate.reliability import stage_reliability
from cascaderank.evaluate.requests import Request
from cascaderank.store import Store

FORMAT = 2
FEW_QUERIES = 100  # below, an interval is wide and the report says so


def evaluate(
    cascades: Sequence[Cascade],
    requests: Sequence[Request],
    qrels: Qrels,
    stores: Sequence[Store | None],
    *,
    relevant_from: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate the first cascade; a second one is compared with it, query by query. Raises as ``judged_requests``."""
    import_ir_measures()  # a run of minutes should not end in a missing package
    asked = judged_requests(requests, qrels, relevant_from)
    answers = answer_all(cascades, asked, stores, progress)
    found: dict[str, Any] = {
        "format": FORMAT,
        "machine": describe_machine(),
        "queries": [{"query_id": request.query_id, "query": request.query} for request in asked],
        "candidates": max(len(request.ids) for request in asked),
        "relevant_from": relevant_from,
        "from_store": stores[0] is not None,
        "few_queries": len(asked) < FEW_QUERIES,
        **_report(cascades[0], answers[0], qrels, relevant_from),
    }
    if len(cascades) > 1:
        found["against"] = _report(cascades[1], answers[1], qrels, relevant_from)
        found["comparison"] = _compare(found, found["against"], answers)
    return found


def judged_requests(requests: Sequence[Request], qrels: Qrels, relevant_from: int) -> list[Request]:
    """The requests whose query has a document of grade ``relevant_from`` or more: no measure is defined for others.

    Raises ``InputError`` where none has.
    """
    asked = [request for request in requests if max(qrels[request.query_id].values()) >= relevant_from]
    if not asked:
        raise InputError(
            f"no query has a document judged {relevant_from} or more; lower --relevant-from, or look at the judgements"
        )
    return asked


def _report(cascade: Cascade, answers: Sequence[Answer], qrels: Qrels, relevant_from: int) -> dict[str, Any]:
    return {
        "cascade": describe_cascade(cascade),
        "points": measure_points(cascade.names, answers, qrels, relevant_from),
        "losses": find_losses(cascade.names, answers, qrels, relevant_from),
        "latency": measure_times(cascade.names, answers),
        "reliability": stage_reliability(
            cascade.names, cascade.models, *scored_pairs(cascade.names, answers, qrels, relevant_from)
        ),
    }


def _compare(this: Mapping[str, Any], other: Mapping[str, Any], answers: Sequence[Sequence[Answer]]) -> dict[str, Any]:
    """Both results at the end of the cascades, this minus the other, and the ratio of their times."""
    ends = this["points"][-1]["values"], other["points"][-1]["values"]
    measures = {}
    for name in ALL_MEASURES:
        these, others = (end[name]["per_query"] for end in ends)
        measures[name] = asdict(compare(these, others))
    times = [[answer.ms for answer in column] for column in answers]
    ratios = np.divide(times[1], times[0])
    return {"test": TEST, "measures": measures, "time_ratio": {"median": float(np.median(ratios))}}
