"""Candidates from a run file: what a search engine found, in the format of TREC."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from cascaderank.documents import Document
from cascaderank.errors import InputError
from cascaderank.evaluate.data import BeirData
from cascaderank.evaluate.requests import Request


def requests_from_run(data: BeirData, path: Path, candidates: int) -> list[Request]:
    """The best ``candidates`` of each judged query in ``path``, score descending, then as the file has them.

    A line is ``query Q0 document rank score tag``, or ``query document rank score`` by tabs (a header line is passed
    over). Queries without a judged relevant document are left out. Raises ``InputError`` naming the line.
    """
    found: dict[str, list[tuple[float, int, str]]] = {}
    for number, query, document, score in _read(path):
        if query not in data.queries:
            continue
        if document not in data.corpus:
            raise InputError(f"{path}:{number}: document {document!r} is not in the collection; is it another's run?")
        found.setdefault(query, []).append((-score, number, document))
    missing = [query for query in data.queries if query not in found]
    if missing:
        raise InputError(
            f"{path}: no candidates for {len(missing)} of {len(data.queries)} judged queries, {missing[0]!r} is the "
            "first; every query counts, so give a run that covers them, or leave them out of the qrels"
        )
    made = []
    for query, text in data.queries.items():
        rows = sorted(found[query])[:candidates]
        ids = tuple(document for _, _, document in rows)
        if len(set(ids)) != len(ids):
            twice = next(name for place, name in enumerate(ids) if name in ids[:place])
            raise InputError(f"{path}: query {query!r} has document {twice!r} twice; drop the later one")
        scores = tuple(-value for value, _, _ in rows)
        documents = tuple(Document(name, data.corpus[name], score) for name, score in zip(ids, scores, strict=True))
        made.append(Request(query, text, ids, scores, documents))
    return made


def _read(path: Path) -> Iterator[tuple[int, str, str, float]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error}") from None
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if not parts or (number == 1 and parts[0] == "query-id"):
            continue
        if len(parts) not in (4, 6):
            raise InputError(
                f"{path}:{number}: expected `query Q0 document rank score tag` (TREC) or `query document rank score`, "
                f"got {len(parts)} columns"
            )
        query, document, score = (parts[0], parts[2], parts[4]) if len(parts) == 6 else (parts[0], parts[1], parts[3])
        try:
            value = float(score)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(f"{path}:{number}: score {score!r} is not a finite number")
        yield number, query, document, value
