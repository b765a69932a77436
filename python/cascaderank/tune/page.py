"""The result as one HTML file that needs nothing else (templates: ``report.html``, ``report.css``) and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from cascaderank.tune.pictures import curve_picture, front_picture
from cascaderank.tune.sections import (
    check_section,
    choice_section,
    curve_section,
    front_section,
    guarantee_section,
    held_back_section,
    lost_section,
    per_query_section,
    settings_section,
    stages_section,
)
from cascaderank.tune.words import cuts


def write_report(found: Mapping[str, Any], folder: Path) -> None:
    """Write ``report.html`` and ``report.json`` (the same numbers) to ``folder``."""
    (folder / "report.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (folder / "report.html").write_text(page(found), encoding="utf-8")


def page(found: Mapping[str, Any]) -> str:
    """The whole page of a result of ``run_tune``."""
    here = files("cascaderank.tune")
    template = Template((here / "report.html").read_text(encoding="utf-8"))
    names = [stage["name"] for stage in found["cascade"]["stages"]]
    settings, machine, explored = found["settings"], found["machine"], found["explored"]
    return template.substitute(
        style=(here / "report.css").read_text(encoding="utf-8"),
        data=escape(found["data"]),
        summary=escape(
            f"{settings['queries']} labelled queries, {settings['choosing']} of them to choose with and "
            f"{settings['reporting']} held back to report on; {settings['candidates']} candidates; "
            f"{explored['choices']} combinations explored in {explored['seconds']:.2f} s on {machine['cores']} cores "
            f"({machine['processor'] or machine['machine']})."
        ),
        warnings="".join(f'<p class="warn">{escape(text)}</p>' for text in found["warnings"]),
        budget=f"{settings['budget_ms']:g}",
        choice=escape(cuts(names, found["recommended"]["keeps"])),
        choice_text=choice_section(found),
        held_back=held_back_section(found, names),
        front=front_picture(found) + front_section(found, names),
        stages=stages_section(found),
        tolerance=f"{found['curves'][0]['tolerance']:g}",
        curves="".join(curve_picture(curve) + curve_section(curve) for curve in found["curves"]),
        guarantee=guarantee_section(found["guarantee"], names),
        per_query=per_query_section(found["per_query"], names),
        check=check_section(found["check"]),
        lost=lost_section(found["lost"], names),
        settings=settings_section(found),
    )
