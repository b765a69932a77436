"""Whom the figures are of: queries with and without a relevant candidate, and what counts as relevant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cascaderank.evaluate.requests import Request
from cascaderank.kernels import Int64
from cascaderank.model import ModelSpec
from cascaderank.tune.files import written_by_tune
from cascaderank.tune.settings import TuneSettings, check_relevant

FEW = 100  # labelled queries below which choices are mostly luck


def describe_population(
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    choosing: Int64,
    reporting: Int64,
    settings: TuneSettings,
) -> dict[str, Any]:
    """How many queries of each half have no relevant candidate, and in words what is done with them. Raises
    ``InputError`` where too few have one."""
    least = settings.relevant_from

    def idle(half: Int64) -> int:
        asked = (requests[query] for query in half.tolist())
        return sum(all(qrels[one.query_id].get(name, 0) < least for name in one.ids) for one in asked)

    here, there = idle(choosing), idle(reporting)
    check_relevant(len(choosing) - here, len(reporting) - there, settings, here)
    grade = "" if least == 1 else f" of grade {least} or more"
    text = f"every query has a relevant candidate{grade}"
    if here + there:
        text = (
            f"{here + there} of {len(requests)} queries have no relevant candidate{grade} ({here} of those to choose "
            f"with, {there} held back): nDCG@10 counts them, recall, plateaus and guarantee do not"
        )
    return {"choosing_without_relevant": here, "reporting_without_relevant": there, "text": text}


def sample_warnings(requests: Sequence[Request]) -> list[str]:
    """Why not to trust a choice made from these queries."""
    found = []
    if len(requests) < FEW:
        found.append(
            f"only {len(requests)} labelled queries, half of them to choose with: below {FEW} the choice is mostly "
            "luck; read the intervals, and label more"
        )
    if len({len(request.ids) for request in requests}) > 1:
        found.append("queries differ in how many candidates they have; a cut-off above a query's count cuts nothing")
    return found


def source_warnings(source: Path | None, settings: TuneSettings) -> list[str]:
    """A certificate needs a path that no label decided; stages and cut-offs of a tuned file were decided by some."""
    if source is None or settings.max_recall_loss is None or not written_by_tune(source):
        return []
    return [
        f"{source.name} was written by `cascaderank tune`: if that was from these labels, the path that is certified "
        f"along knows them, and its confidence is not {settings.confidence:g}. Certify the file that was tuned, or on "
        "other queries (--split)"
    ]


def calibration_warnings(names: Sequence[str], specs: Sequence[ModelSpec], relevant_from: int) -> list[str]:
    """One per stage whose probabilities were fitted to another notion of relevant than the one asked for here."""
    found = []
    for name, spec in zip(names, specs, strict=True):
        fitted = None if spec.calibration is None else spec.calibration.fitted_on.get("relevant_from")
        if fitted is not None and fitted != relevant_from:
            found.append(
                f"{name}: its calibration counts grade {fitted} and more as relevant, this run grade {relevant_from}; "
                "its probabilities, and what is said of them, answer the other question"
            )
    return found
