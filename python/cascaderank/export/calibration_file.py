"""Reads the texts of ``--calibration FILE``: JSON lines with a query and a document's text each."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from cascaderank.errors import InputError
from cascaderank.evaluate.data import open_text
from cascaderank.export.pairs import Pair


def read_pairs(path: Path, judged: Collection[str] = ()) -> list[Pair]:
    """(query, document) of each line ``{"query": ..., "text": ...}``, in order; ``.gz`` is read too.

    ``judged`` are queries on which the result will be measured: one of them in the file is refused, as nothing is
    calibrated on what judges it. Raises ``InputError`` naming the file and the line for what is malformed or missing.
    """
    pairs: list[Pair] = []
    try:
        with open_text(path) as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    pairs.append(_parse(line, f"{path}:{number}"))
                    if pairs[-1][0] in judged:
                        raise InputError(
                            f"{path}:{number}: query {pairs[-1][0][:60]!r} is one that the result is judged by; "
                            "calibrate on other texts"
                        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); convert the file") from None
    if not pairs:
        raise InputError(f"{path}: no pairs; expected JSON lines with query and text")
    return pairs


def _parse(line: str, where: str) -> Pair:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from None
    if not isinstance(row, dict) or not isinstance(row.get("query"), str) or not isinstance(row.get("text"), str):
        raise InputError(f"{where}: expected an object with the strings query and text")
    return row["query"], row["text"]
