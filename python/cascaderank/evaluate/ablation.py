"""Which way to fuse is best on the labelled set: the same stages and cut-offs under each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from cascaderank.cascade import Cascade
from cascaderank.config import CascadeConfig
from cascaderank.errors import ConfigError
from cascaderank.evaluate.answers import Answer, Progress
from cascaderank.evaluate.evaluation import judged_requests
from cascaderank.evaluate.paired import compare
from cascaderank.evaluate.points import Qrels, measure_points
from cascaderank.evaluate.requests import Request
from cascaderank.store import Store


def ablate_fusion(
    config: CascadeConfig,
    kinds: Sequence[str],
    requests: Sequence[Request],
    qrels: Qrels,
    store: Store | None,
    *,
    relevant_from: int = 1,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """The same stages and cut-offs under each way to fuse: measures at the end, the difference to the best nDCG@10, and
    ``weights`` (those of the first pass and the stages, None where the kind reads none).

    The file's own kind has the file's weights. They mean nothing to another kind, which takes all sources alike, those
    apart that the file gives weight 0.

    A kind that this cascade cannot use (``weighted`` over models without calibration) is listed with the reason.
    """
    found: list[dict[str, Any]] = []
    with ExitStack() as opened:
        cascades: list[Cascade] = []
        for kind in kinds:
            try:
                cascade = Cascade(_under(config, kind))
            except ConfigError as error:
                found.append({"fusion": kind, "left_out": str(error)})
                continue
            cascades.append(opened.enter_context(cascade))
        asked = judged_requests(requests, qrels, relevant_from)
        answers = _answer_ends(cascades, asked, store, progress)
        for cascade, column in zip(cascades, answers, strict=True):
            values = measure_points((), column, qrels, relevant_from)[0]["values"]
            found.append({"fusion": cascade.config.fusion, "weights": _weights(cascade.config), "values": values})
    measured = [entry for entry in found if "values" in entry]
    best = max(measured, key=lambda entry: float(entry["values"]["nDCG@10"]["mean"]))
    for entry in measured:
        columns = (one["values"]["nDCG@10"]["per_query"] for one in (entry, best))
        entry["to_best"] = asdict(compare(*columns))
    return found


def _under(config: CascadeConfig, kind: str) -> CascadeConfig:
    whole = replace(config, fusion=kind, deadline_ms=None, early_stop=False)
    if kind == config.fusion:
        return whole
    stages = tuple(replace(stage, weight=float(stage.weight > 0)) for stage in config.stages)
    return replace(whole, stages=stages, first_weight=float(config.first_weight > 0))


def _weights(config: CascadeConfig) -> list[float] | None:
    if config.fusion == "last":
        return None
    absent = config.fusion == "weighted" and config.first_calibration is None
    return [0.0 if absent else config.first_weight, *(stage.weight for stage in config.stages)]


def _answer_ends(
    cascades: Sequence[Cascade], requests: Sequence[Request], store: Store | None, progress: Progress | None
) -> list[list[Answer]]:
    """Only the last order of each, in the place of the first pass."""
    found: list[list[Answer]] = [[] for _ in cascades]
    for number, request in enumerate(requests, start=1):
        for cascade, column in zip(cascades, found, strict=True):
            ranking = request.answer(cascade, store)
            order = tuple(request.ids[index] for index in ranking.order.tolist())
            column.append(Answer(request.query_id, (order,), (ranking.kept,), ranking.trace.total_ms, ranking.trace))
        if progress is not None:
            progress(number, len(requests))
    return found
