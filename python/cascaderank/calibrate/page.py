"""The page of a calibration: reliability before and after, every method, and what it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascaderank.evaluate.report.html import facts, page, paragraph, section
from cascaderank.evaluate.report.reliability import methods_table, reliability_picture


def calibration_page(found: Mapping[str, Any]) -> str:
    """The whole page of what `calibrate --json` writes."""
    on = found["fitted_on"]
    curves = [{"method": entry["method"], **entry["held_back"]} for entry in found["methods"]]
    chosen = next(curve for curve in curves if curve["method"] == found["chosen"])
    held = f"held back in {found['folds']} folds by query"
    summary = (
        f"{on['queries']} queries, {on['pairs']} pairs, {on['relevant']} of them relevant (grade {on['relevant_from']} "
        f"or more); every figure is of queries {held}. ECE over {found['bins']} bins."
    )
    verdict = (
        "It at least halves the expected calibration error and lowers the log loss on queries held back."
        if found["helps"]
        else "It does not halve the expected calibration error on queries held back: the raw score is as good."
    )
    pictures = [
        reliability_picture(found["model"], curves[0], curve, held) for curve in curves[1:] if curve is not chosen
    ]
    parts = [
        section(
            f"Chosen: {found['chosen']}",
            paragraph(verdict, "main" if found["helps"] else "warn"),
            reliability_picture(found["model"], curves[0], chosen, held),
            methods_table(curves, found["chosen"]),
        ),
        section("The other methods", *pictures),
        section("Model and machine", facts({**found["machine"], "model": found["model"], "digest": found["digest"]})),
    ]
    return page("calibrate", f"Probabilities of {found['model']} on {on['data']}", summary, parts)
