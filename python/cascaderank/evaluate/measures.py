"""The field's measures of many rankings at once, by ir_measures. The only module that imports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cascaderank.errors import MissingExtraError

CUT_OFFS = (10, 20, 100)
MEASURES = (
    "nDCG@10",
    "RR@10",
    "AP",
    "Success@1",
    "Success@5",
    "Success@10",
    *(f"R@{cut_off}" for cut_off in CUT_OFFS),
)
"""As ir_measures names them: RR is the reciprocal rank (its mean is MRR), AP average precision (its mean is MAP),
Success@k accuracy@k, R recall."""


def measure(
    qrels: Mapping[str, Mapping[str, int]], orders: Mapping[str, Sequence[str]], relevant_from: int = 1
) -> dict[str, list[float]]:
    """Each of ``MEASURES`` with one value per query, in the order of ``orders``; documents are best first.

    nDCG's gain is ``2^grade - 1``, as in ``metrics.ndcg``; all others count documents of grade ``relevant_from`` or
    more. An empty ranking has 0 everywhere. Evaluation tools sort by score and break ties by name, so they are given
    ranks, which have none. Raises ``MissingExtraError`` without ir_measures.
    """
    tool = import_ir_measures()
    grades = {name: {document: max(grade, 0) for document, grade in qrels[name].items()} for name in orders}
    gains = {grade: 2**grade - 1 for judged in grades.values() for grade in judged.values() if grade > 0}
    asked = {tool.nDCG(gains=gains) @ 10: "nDCG@10", tool.RR(rel=relevant_from) @ 10: "RR@10"}
    asked |= {tool.AP(rel=relevant_from): "AP"}
    asked |= {tool.Success(rel=relevant_from) @ k: f"Success@{k}" for k in (1, 5, 10)}
    asked |= {tool.R(rel=relevant_from) @ k: f"R@{k}" for k in CUT_OFFS}
    run = {
        name: {document: -float(rank) for rank, document in enumerate(order)} for name, order in orders.items() if order
    }
    values = {name: dict.fromkeys(orders, 0.0) for name in MEASURES}
    for found in tool.iter_calc(list(asked), grades, run) if run else ():
        values[asked[found.measure]][found.query_id] = float(found.value)
    return {name: list(column.values()) for name, column in values.items()}


def import_ir_measures() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError(
            "evaluate needs the package ir-measures, which is not installed; pip install 'cascaderank[evaluate]'"
        ) from error
    return ir_measures
