"""Reads the documents to rank from a file or a pipe: JSON lines or plain lines; every error names the line."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cascaderank.documents import Document, check_text
from cascaderank.errors import InputError


class Lines(NamedTuple):
    """The documents, and the objects they came from (JSON lines only), by the same index."""

    documents: list[Document]
    objects: list[dict[str, Any]]


def read_lines(file: Path | None, form: str | None) -> Lines:
    """Documents from ``file`` (None or ``-``: stdin).

    ``form`` is ``jsonl``, ``lines`` or None: JSON lines where the first line that is not blank starts with ``{``.
    A JSON line has ``text`` and may have ``id`` (by default the line's number) and ``score``; of a plain line the
    number is the id. Blank lines are passed over.
    """
    if file is None or str(file) == "-":
        return parse_lines(_decode(sys.stdin.buffer, "stdin"), "stdin", form)
    with file.open("rb") as stream:
        return parse_lines(_decode(stream, str(file)), str(file), form)


def parse_lines(lines: Iterable[tuple[int, str]], where: str, form: str | None) -> Lines:
    """Turn numbered lines into documents; ``where`` names their source in errors."""
    documents: list[Document] = []
    objects: list[dict[str, Any]] = []
    first_line: dict[str, int] = {}
    for number, line in lines:
        if not line.strip():
            continue
        if form is None:
            form = "jsonl" if line.lstrip().startswith("{") else "lines"
        place = f"{where}:{number}"
        if form == "jsonl":
            row = _parse(line, place)
            document = _document(row, place, number)
            objects.append(row)
        else:
            document = Document(str(number), line)
        if document.id in first_line:
            raise InputError(
                f"{place}: id {document.id!r} repeats line {first_line[document.id]}; ids must be unique in a request"
            )
        if documents and (document.score is None) != (documents[0].score is None):
            has, other = ("no score", "has one") if document.score is None else ("a score", "has none")
            raise InputError(f"{place}: {has}, but the first document {other}; give all of them a score or none")
        first_line[document.id] = number
        documents.append(document)
    return Lines(documents, objects)


def _decode(stream: Iterable[bytes], where: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(stream, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{where}:{number}: not UTF-8 text (byte {error.start}); convert the file") from None
        yield number, line.rstrip("\r\n")


def _parse(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(
            f"{place}: not JSON ({error}); one object per line, or --input lines to rank plain lines"
        ) from None
    if not isinstance(row, dict) or "text" not in row:
        raise InputError(f'{place}: expected an object with "text", and perhaps "id" and "score"')
    return row


def _document(row: dict[str, Any], place: str, number: int) -> Document:
    identifier, score = row.get("id", str(number)), row.get("score")
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)
    if not isinstance(identifier, str):
        raise InputError(f"{place}: id is {identifier!r}, expected a string or an integer")
    if score is not None:
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
            raise InputError(f"{place}: score is {score!r}, expected a finite number; larger is better")
        score = float(score)
    return Document(check_text(identifier, f"{place}: id"), check_text(row["text"], f"{place}: text"), score)
