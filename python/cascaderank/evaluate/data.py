"""Reads labelled collections in the layout of BEIR (Thakur et al., 2021, arXiv 2104.08663)."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from cascaderank.errors import InputError


class BeirData(NamedTuple):
    """A collection: documents and queries as texts by id, and grades by query id and document id."""

    corpus: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def load_beir(folder: str | Path, split: str) -> BeirData:
    """Read ``corpus.jsonl``, ``queries.jsonl`` (or the same with ``.gz``) and ``qrels/SPLIT.tsv`` of ``folder``.

    A document's text is its title, a space and its text. Judged documents of grade 0 stay in ``qrels``; queries
    without any relevant document are left out, as no measure is defined for them, and so are queries of other splits.
    Raises ``InputError`` naming the file and the line for what is missing, malformed, or points nowhere.
    """
    root = Path(folder)
    corpus = read_corpus(find_file(root, "corpus.jsonl"))
    texts = {identifier: str(row["text"]) for identifier, row in _read_jsonl(find_file(root, "queries.jsonl"))}
    path = root / "qrels" / f"{split}.tsv"
    if not path.is_file():
        found = sorted(other.stem for other in path.parent.glob("*.tsv"))
        raise InputError(f"{path}: no such split; {root.name} has {', '.join(found) or 'none'}")
    qrels: dict[str, dict[str, int]] = {}
    for where, query, document, grade in _read_qrels(path):
        if query not in texts or document not in corpus:
            missing = f"query {query!r}" if query not in texts else f"document {document!r}"
            raise InputError(f"{where}: {missing} is judged but not in the collection")
        qrels.setdefault(query, {})[document] = grade
    qrels = {query: grades for query, grades in qrels.items() if max(grades.values()) > 0}
    return BeirData(corpus, {query: texts[query] for query in qrels}, qrels)


def read_corpus(path: Path) -> dict[str, str]:
    """Texts by id, in the order of a ``corpus.jsonl``; ``load_beir`` says what is refused."""
    return {identifier: f"{row.get('title') or ''} {row['text']}".strip() for identifier, row in _read_jsonl(path)}


def find_file(root: Path, name: str) -> Path:
    """``root / name`` or the same with ``.gz``."""
    for path in (root / name, root / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(f"{root / name}: not found, nor with .gz; expected a folder in the layout of BEIR")


def open_text(path: Path) -> IO[str]:
    """A UTF-8 text file, compressed by gzip where its name says so."""
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", encoding="utf-8"))
    return path.open(encoding="utf-8")


def _read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{path}:{number}: not JSON ({error})") from None
            if not isinstance(row, dict) or "_id" not in row or not isinstance(row.get("text"), str):
                raise InputError(f"{path}:{number}: expected an object with '_id' and 'text'")
            yield str(row["_id"]), row


def _read_qrels(path: Path) -> Iterator[tuple[str, str, str, int]]:
    """(file and line, query id, document id, grade) of each judgement; the first line is a header."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows, None)
        for number, row in enumerate(rows, start=2):
            where = f"{path}:{number}"
            try:
                query, document, grade = row
                judgement = (where, query, document, int(grade))
            except ValueError:
                raise InputError(
                    f"{where}: expected query, document and an integer grade, by tabs; got {row}"
                ) from None
            yield judgement
