"""Reads a collection to index, a document at a time: JSON lines, plain or BEIR's, also .gz; errors name the line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, cast

from cascaderank.documents import Document, check_text
from cascaderank.errors import InputError


def count_documents(files: Sequence[Path]) -> int:
    """Lines that are not blank."""
    return sum(1 for file in files for _, raw in _lines(file) if raw.strip())


def read_corpus(files: Sequence[Path]) -> Iterator[Document]:
    """Documents in order. A line has ``id`` (BEIR: ``_id``), ``text`` and perhaps ``title``, which goes before the text
    with a space, as BEIR has it. Raises ``InputError`` naming file and line."""
    for file in files:
        for number, raw in _lines(file):
            if raw.strip():
                yield _document(raw, f"{file}:{number}")


def read_id_lines(file: Path) -> list[str]:
    """One id a line; JSON lines' ``id`` (or ``_id``) where a line starts with ``{``."""
    ids: list[str] = []
    for number, raw in _lines(file):
        place = f"{file}:{number}"
        line = _text(raw, place).rstrip("\r\n")
        if line.startswith("{"):
            ids.append(_id(_object(line, place), place))
        elif line:
            ids.append(line)
    return ids


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    with cast("IO[bytes]", gzip.open(file) if file.suffix == ".gz" else file.open("rb")) as stream:
        try:
            yield from enumerate(stream, start=1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{file}: not a complete gzip file ({error})") from None


def _text(raw: bytes, place: str) -> str:
    try:
        return raw.decode("utf-8-sig" if place.endswith(":1") else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8 text (byte {error.start}); convert the file") from None


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{place}: not JSON ({error}); one object per line") from None
    if not isinstance(row, dict):
        raise InputError(f"{place}: expected an object, got {type(row).__name__}")
    return row


def _id(row: dict[str, Any], place: str) -> str:
    identifier = row.get("id", row.get("_id"))
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)
    if not isinstance(identifier, str):
        raise InputError(f"{place}: id is {identifier!r}, expected a string or an integer in 'id' (or '_id')")
    return identifier


def _document(raw: bytes, place: str) -> Document:
    row = _object(_text(raw, place), place)
    identifier = _id(row, place)
    if "text" not in row:
        raise InputError(f'{place}: no "text"; expected an object with "id", "text" and perhaps "title"')
    text, title = check_text(row["text"], f"{place}: text"), row.get("title")
    if title is not None and title != "":
        text = f"{check_text(title, f'{place}: title')} {text}".strip()
    return Document(identifier, text)
