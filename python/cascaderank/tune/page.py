"""The result as one HTML file that needs nothing else, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cascaderank.evaluate.report.html import page as whole_page
from cascaderank.evaluate.report.html import paragraph, section, write_json
from cascaderank.evaluate.report.reliability import reliability_parts
from cascaderank.evaluate.report.words import cuts
from cascaderank.tune.pictures import curve_picture, front_picture
from cascaderank.tune.rule_sections import guarantee_section, per_query_section
from cascaderank.tune.sections import (
    check_section,
    choice_section,
    curve_section,
    folds_section,
    front_section,
    held_back_section,
    lost_section,
    settings_section,
    stages_section,
)


def write_report(found: Mapping[str, Any], folder: Path) -> None:
    """Write ``report.html`` and ``report.json`` (the same numbers) to ``folder``."""
    write_json(found, folder / "report.json")
    # An id may hold a lone surrogate, which has no UTF-8 form: it is shown as an escape.
    (folder / "report.html").write_text(page(found), encoding="utf-8", errors="backslashreplace")


def page(found: Mapping[str, Any]) -> str:
    """The whole page of a result of ``run_tune``."""
    names = [stage["name"] for stage in found["cascade"]["stages"]]
    settings, machine, explored = found["settings"], found["machine"], found["explored"]
    summary = (
        f"{settings['queries']} labelled queries, {settings['choosing']} of them to choose with and "
        f"{settings['reporting']} held back to report on; {settings['candidates']} candidates; "
        f"{explored['choices']} combinations explored in {explored['seconds']:.2f} s on {machine['cores']} cores "
        f"({machine['processor'] or machine['machine']}); {found['population']['text']}."
    )
    tolerance = f"{found['curves'][0]['tolerance']:g}"
    parts = [
        *(paragraph(text, "warn") for text in found["warnings"]),
        section(
            f"Recommended for {settings['budget_ms']:g} ms",
            paragraph(cuts(names, found["recommended"]["keeps"]), "main"),
            choice_section(found, names),
        ),
        section(
            "On the held-back queries",
            paragraph("None of these queries took part in a choice."),
            held_back_section(found, names),
        ),
        section("Chosen again, fold by fold", folds_section(found["folds"], names)),
        section("Quality against latency", front_picture(found), front_section(found, names)),
        section("Which stages pay", stages_section(found)),
        section(
            "Recall after each stage",
            paragraph(
                "Each stage is looked at on what the stage before it lets through. The plateau rule takes the smallest "
                f"cut-off whose loss of recall, by the upper end of its 95 % interval, is at most {tolerance}."
            ),
            *(curve_picture(curve) + curve_section(curve) for curve in found["curves"]),
        ),
        section("Guarantee", guarantee_section(found["guarantee"], names)),
        section("Cut-offs per query", per_query_section(found["per_query"], names)),
        section("Predicted and measured", check_section(found["check"])),
        section("Probabilities", reliability_parts(found["reliability"], "candidates of the held-back queries")),
        section("Lost queries", lost_section(found["lost"], names)),
        section("Settings and machine", settings_section(found)),
    ]
    return whole_page("tune", f"Cut-offs for {found['data']}", summary, parts)
