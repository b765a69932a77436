"""Reads runs, judgements and queries in the formats of TREC, and in the tables that BEIR's tools write of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from cascaderank.errors import InputError
from cascaderank.evaluate.data import BeirData, check_new, open_text, read_corpus, read_qrels

Run = dict[str, list[tuple[str, float]]]


def read_run(path: Path) -> Run:
    """Query id to its documents and scores, best first.

    Lines are TREC's ``query Q0 document rank score tag``, or a table with a header line and the columns query,
    document, rank, score by tabs. As evaluation tools do, documents are ordered by score; where scores are equal, by
    the rank that is written (those tools take the document's name). Raises ``InputError`` naming file and line for a
    malformed line, a score that is not finite, and a document that is given twice for a query.
    """
    found: dict[str, list[tuple[float, float, str]]] = {}
    seen: dict[tuple[str, str], int] = {}
    for number, fields in _rows(path):
        where = f"{path}:{number}"
        columns = {6: (0, 2, 3, 4), 4: (0, 1, 2, 3)}.get(len(fields))
        if columns is None:
            raise InputError(f"{where}: {len(fields)} columns; expected query, Q0, document, rank, score, tag")
        query, document, rank, score = (fields[column] for column in columns)
        try:
            entry = (-float(score), float(rank), document)
        except ValueError:
            if number == 1:
                continue  # a header
            raise InputError(f"{where}: rank {rank!r} and score {score!r}; expected two numbers") from None
        if not math.isfinite(entry[0]):
            raise InputError(f"{where}: score {score} is not finite")
        first = seen.setdefault((query, document), number)
        if first != number:
            raise InputError(f"{where}: document {document!r} of query {query!r} repeats line {first}; keep one")
        found.setdefault(query, []).append(entry)
    if not found:
        raise InputError(f"{path}: no line; a run has one per query and document")
    return {
        query: [(document, -negative) for negative, _, document in sorted(entries, key=lambda entry: entry[:2])]
        for query, entries in found.items()
    }


def read_judged(corpus: Path, queries: Path, qrels: Path) -> BeirData:
    """A collection from three files: ``corpus`` as BEIR's, ``queries`` as BEIR's or ``id<tab>text`` lines, ``qrels`` as
    TREC's ``query 0 document grade`` or BEIR's table.

    Queries without a relevant document are left out. Raises ``InputError`` naming file and line for what is malformed
    or given twice, and for judgements that contradict each other or whose query or document is not there.
    """
    texts, documents = _read_queries(queries), read_corpus(corpus)
    kept = read_qrels(qrels, _judgements(qrels), texts, documents)
    return BeirData(documents, {query: texts[query] for query in kept}, kept)


def _judgements(path: Path) -> Iterator[tuple[int, str, str, str]]:
    for number, fields in _rows(path):
        if len(fields) not in (3, 4):
            raise InputError(f"{path}:{number}: {len(fields)} columns; expected query, 0, document, grade")
        yield number, fields[0], fields[-2], fields[-1]


def _read_queries(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            if line.lstrip().startswith("{"):
                try:
                    row = json.loads(line)
                    identifier, text = str(row["_id"]), row["text"]
                except (json.JSONDecodeError, KeyError):
                    raise InputError(f"{where}: expected an object with '_id' and 'text'") from None
            else:
                identifier, tab, text = line.rstrip("\r\n").partition("\t")
                if not tab:
                    raise InputError(f"{where}: expected a query's id, a tab and its text")
            check_new(lines, identifier, path, number)
            found[identifier] = text
    return found


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every line that is not blank, split at tabs where there are any, else at spaces."""
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                text = line.rstrip("\r\n")
                yield number, [field.strip() for field in text.split("\t")] if "\t" in text else text.split()
