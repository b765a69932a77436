"""A report as one HTML file that needs nothing else (``page.html``, ``page.css``): every command's is made of these."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any


def page(command: str, title: str, summary: str, parts: Sequence[str]) -> str:
    """The whole page; ``parts`` are HTML, the rest is text."""
    here = files("cascaderank.evaluate.report")
    template = Template((here / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        command=command,
        title=escape(title),
        summary=escape(summary),
        style=(here / "page.css").read_text(encoding="utf-8"),
        body="\n".join(part for part in parts if part),
    )


def section(title: str, *parts: str) -> str:
    """A heading and what stands below it; nothing at all where there is nothing to say."""
    body = "\n".join(part for part in parts if part)
    return f"<h2>{escape(title)}</h2>\n{body}" if body else ""


def paragraph(text: str, kind: str = "") -> str:
    """``kind``: "warn", "main" or "soft"."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """The first ``left`` columns are words, the others numbers."""

    def row(cells: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=left' if place < left else ''}>{escape(cell)}</{tag}>" for place, cell in enumerate(cells)
        )

    body = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f'<div class="wide"><table><tr>{row(head, "th")}</tr>\n{body}</table></div>'


def figure(picture: str, caption: str) -> str:
    """``picture`` is SVG as text."""
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def facts(values: Mapping[str, Any]) -> str:
    """Settings, machine: a name and a value in each row."""
    return table(["", ""], [[str(name), str(value)] for name, value in values.items()], left=2)


def write_page(text: str, path: Path) -> None:
    """Names come from outside: a lone surrogate in one, which UTF-8 has no form for, is shown as its escape."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(found: Mapping[str, Any], path: Path) -> None:
    """The same numbers for other programs; JSON's own escapes hold every name."""
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
