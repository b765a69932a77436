"""From answers to numbers: measures at the first pass and after each stage, what each stage lost, how long it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.evaluate.answers import Answer
from cascaderank.evaluate.latency import spread
from cascaderank.evaluate.measures import MEASURES, measure
from cascaderank.evaluate.metrics import bootstrap_interval
from cascaderank.evaluate.quality import FIRST_PASS

RECALL_KEPT = "R@kept"
"""The share of a query's relevant documents among the candidates that went on."""
ALL_MEASURES = (RECALL_KEPT, *MEASURES)
Qrels = Mapping[str, Mapping[str, int]]
Float32 = NDArray[np.float32]
Bools = NDArray[np.bool_]


def measure_points(
    names: Sequence[str], answers: Sequence[Answer], qrels: Qrels, relevant_from: int = 1
) -> list[dict[str, Any]]:
    """One entry for the first pass and one per stage of ``names``.

    ``values`` has every measure of ``ALL_MEASURES`` with its mean, its 95 % bootstrap interval over queries and the
    values per query. Measures see the whole order after the stage: behind those that went on follow those it dropped,
    so R@100 is defined after a stage that keeps 20. ``kept`` is the median number that went on.
    """
    points = []
    for place, name in enumerate([FIRST_PASS, *names]):
        columns = measure(qrels, {answer.query_id: answer.orders[place] for answer in answers}, relevant_from)
        columns[RECALL_KEPT] = [
            _recall_kept(_relevant(qrels[answer.query_id], relevant_from), answer, place) for answer in answers
        ]
        values = {
            key: {
                "mean": float(np.mean(columns[key])),
                "interval": bootstrap_interval(columns[key]),
                "per_query": columns[key],
            }
            for key in ALL_MEASURES
        }
        kept = float(np.median([answer.kept[place] for answer in answers]))
        points.append({"name": name, "kept": kept, "values": values})
    return points


def _relevant(grades: Mapping[str, int], relevant_from: int) -> set[str]:
    return {document for document, grade in grades.items() if grade >= relevant_from}


def _recall_kept(relevant: set[str], answer: Answer, place: int) -> float:
    return len(relevant.intersection(answer.orders[place][: answer.kept[place]])) / len(relevant) if relevant else 0.0


def find_losses(
    names: Sequence[str], answers: Sequence[Answer], qrels: Qrels, relevant_from: int = 1
) -> list[dict[str, Any]]:
    """What the first pass did not find, and which relevant candidates each stage let fall, by query.

    ``queries`` lists those that lost any, most first; a lost document comes with its grade.
    """
    losses = []
    for place, name in enumerate([FIRST_PASS, *names]):
        queries, entered, lost_in_all = [], 0, 0
        for answer in answers:
            grades = qrels[answer.query_id]
            before = _relevant(grades, relevant_from)
            if place:
                before &= set(answer.orders[place - 1][: answer.kept[place - 1]])
            lost = before.difference(answer.orders[place][: answer.kept[place]])
            entered += len(before)
            lost_in_all += len(lost)
            if lost:
                documents = {document: grades[document] for document in sorted(lost, key=lambda d: (-grades[d], d))}
                queries.append({"query_id": answer.query_id, "lost": documents})
        queries.sort(key=lambda entry: -len(entry["lost"]))  # stable: then in the order of the queries
        losses.append({"name": name, "relevant_in": entered, "lost": lost_in_all, "queries": queries})
    return losses


def scored_pairs(
    names: Sequence[str], answers: Sequence[Answer], qrels: Qrels, relevant_from: int = 1
) -> tuple[list[Float32], list[Bools]]:
    """Per stage the logits of the candidates it scored, float32 ``[pairs]``, and which of them are relevant."""
    known = [answer for answer in answers if answer.logits is not None and len(answer.logits)]
    if not known:
        return [np.empty(0, np.float32)] * len(names), [np.empty(0, np.bool_)] * len(names)
    values = np.concatenate([answer.logits for answer in known if answer.logits is not None])
    grades = [qrels[answer.query_id].get(name, 0) for answer in known for name in answer.orders[-1]]
    relevant, scored = np.array(grades) >= relevant_from, ~np.isnan(values)
    columns = range(len(names))
    return [values[scored[:, stage], stage] for stage in columns], [relevant[scored[:, stage]] for stage in columns]


def measure_times(names: Sequence[str], answers: Sequence[Answer]) -> dict[str, Any]:
    """P50, P95, P99, maximum and mean in milliseconds, of the requests and of each stage (None: nobody reached it)."""
    stages = []
    for name in names:
        traces = [stage for answer in answers for stage in answer.trace.stages if stage.name == name]
        times = [stage.total_ms for stage in traces if stage.scored]
        stages.append({"name": name, "requests": len(times), "ms": spread(times) if times else None})
    return {"ms": spread([answer.ms for answer in answers]), "stages": stages}
