"""``cascaderank rank``: documents in, the same documents in a better order out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_cascade, add_command, add_deadline, open_cascade, positive_integer

if TYPE_CHECKING:
    from cascaderank.cli.documents import Lines
    from cascaderank.results import Ranking

_TEXT = """\
Rank documents by how well they answer QUERY.

Documents come from FILE or a pipe: JSON lines {"id": ..., "text": ..., "score": ...} (id and score, the first pass's,
are optional) or plain lines, told apart by the first line. The result is a table on a terminal and JSON lines in a
pipe: the input's objects with "rank", "score", "stage" and "scores" (one per stage); the first pass's score becomes
"first_score".
"""
_EXAMPLES = """\
  cascaderank rank "how do I sort a dict" docs.jsonl
  cascaderank rank "disk full" --top 5 < /var/log/syslog
  cascaderank rank "disk full" notes.txt --format jsonl | head -3
  cascaderank rank "refund" docs.jsonl --cascade cascade.toml --deadline-ms 200 --explain
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "rank", "rank documents from a file or a pipe", _TEXT, _EXAMPLES)
    parser.add_argument("query", metavar="QUERY", help="what to rank by")
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="documents; default, or -: stdin")
    add_cascade(parser)
    parser.add_argument(
        "--input", choices=("jsonl", "lines"), help="what the documents are; default: by the first line"
    )
    parser.add_argument("--format", choices=("table", "jsonl"), help="default: table on a terminal, jsonl elsewhere")
    parser.add_argument("--top", type=positive_integer, metavar="N", help="print the best N only; default: all")
    add_deadline(parser)
    parser.add_argument(
        "--store", type=Path, metavar="FOLDER", help="tokens and vectors computed ahead (cascaderank index)"
    )
    parser.add_argument("--instruction", metavar="TEXT", help="what decoder stages are told to judge by")
    parser.add_argument("--explain", action="store_true", help="print what each stage did, on stderr")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    from cascaderank.cli.documents import read_lines
    from cascaderank.cli.terminal import busy, console, counted, say
    from cascaderank.documents import check_query
    from cascaderank.store import Store

    if options.file is None and sys.stdin.isatty():
        options.parser.error("no documents: give FILE, or pipe them in")
    check_query(options.query)  # before models are loaded: this can be said at once
    lines = read_lines(options.file, options.input)
    as_table = options.format == "table" or (options.format is None and sys.stdout.isatty())
    if as_table:
        console()  # says now if it cannot, not after the ranking
    if not lines.documents:
        say("cascaderank: no documents; nothing to rank")
        return 0
    store = None if options.store is None else Store.open(options.store)
    with open_cascade(options.cascade) as cascade, busy(f"ranking {counted(len(lines.documents), 'document')}"):
        ranking = cascade.rank(
            options.query, lines.documents, store=store, top_n=options.top, deadline_ms=options.deadline_ms,
            instruction=options.instruction,
        )  # fmt: skip
    if as_table:
        _print_table(ranking, lines)
    else:
        _print_json(ranking, lines)
    for reason in ranking.reasons:
        say(f"cascaderank: degraded: {reason}")
    if options.explain:
        say(ranking.trace.table())
    return 0


def _print_json(ranking: Ranking, lines: Lines) -> None:
    import json

    # Escapes of other encodings, such as \xe9, are no JSON.
    to_ascii = not (sys.stdout.encoding or "").lower().startswith("utf")
    for hit in ranking:
        document = lines.documents[hit.index]
        row: dict[str, Any] = {"rank": hit.rank, "id": document.id, "score": hit.score, "stage": hit.stage}
        if hit.probability is not None:
            row["probability"] = hit.probability
        row["scores"] = dict(zip(ranking.stages, hit.scores, strict=True))
        if document.score is not None:
            row["first_score"] = document.score
        given = lines.objects[hit.index] if lines.objects else {"text": document.text}
        row |= {key: value for key, value in given.items() if key not in row}
        print(json.dumps(row, ensure_ascii=to_ascii))


def _print_table(ranking: Ranking, lines: Lines) -> None:
    from rich.table import Table
    from rich.text import Text

    from cascaderank.cli.terminal import console

    screen = console()
    table = Table(box=None, pad_edge=False)
    calibrated = any(hit.probability is not None for hit in ranking)
    for name, justify in (
        ("rank", "right"),
        ("score", "right"),
        *([("probability", "right")] if calibrated else []),
        ("stage", "left"),
        ("id", "left"),
    ):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for hit in ranking:
        document = lines.documents[hit.index]
        text = " ".join(document.text[:500].split())
        chance = [_number(hit.probability)] if calibrated else []
        table.add_row(str(hit.rank), _number(hit.score), *chance, hit.stage or "-", Text(document.id), Text(text))
    screen.print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
