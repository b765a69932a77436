"""Reads labelled collections in the layout of BEIR (Thakur et al., 2021, arXiv 2104.08663)."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Container, Iterable, Iterator
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
    Raises ``InputError`` naming the file and the line for what is missing, malformed, given twice, or points nowhere.
    """
    root = Path(folder)
    corpus = read_corpus(find_file(root, "corpus.jsonl"))
    texts = {identifier: str(row["text"]) for identifier, row in _read_jsonl(find_file(root, "queries.jsonl"))}
    path = root / "qrels" / f"{split}.tsv"
    if not path.is_file():
        found = sorted(other.stem for other in path.parent.glob("*.tsv"))
        raise InputError(f"{path}: no such split; {root.name} has {', '.join(found) or 'none'}")
    qrels = read_qrels(path, _rows(path), texts, corpus)
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
    lines: dict[str, int] = {}
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
            identifier = str(row["_id"])
            check_new(lines, identifier, path, number)
            yield identifier, row


def check_new(lines: dict[str, int], identifier: str, path: Path, number: int) -> None:
    """Note in ``lines`` where an id was read; raise ``InputError`` naming both lines where it was before."""
    first = lines.setdefault(identifier, number)
    if first != number:
        raise InputError(f"{path}:{number}: _id {identifier!r} repeats line {first}; keep one of them")


def _rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Line, query id, document id and grade of each line of BEIR's table, a header included."""
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
            if len(row) != 3:
                raise InputError(f"{path}:{number}: expected query, document and an integer grade, by tabs; got {row}")
            yield number, row[0], row[1], row[2]


def read_qrels(
    path: Path, rows: Iterable[tuple[int, str, str, str]], queries: Container[str], documents: Container[str]
) -> dict[str, dict[str, int]]:
    """Grades by query id and document id from rows of line number, query, document and grade; queries without a
    relevant document are left out.

    A first line whose grade is no number is a header. A judgement may be repeated, not contradicted. Raises
    ``InputError`` naming file and line for that, for a grade that is not an integer, and for what is not in the
    collection.
    """
    found: dict[str, dict[str, int]] = {}
    lines: dict[tuple[str, str], int] = {}
    for number, query, document, text in rows:
        where = f"{path}:{number}"
        if number == 1 and not _is_number(text):
            continue
        try:
            grade = int(text)
        except ValueError:
            raise InputError(f"{where}: grade {text!r} is not an integer; expected 0, 1, 2, ...") from None
        if query not in queries or document not in documents:
            missing = f"query {query!r}" if query not in queries else f"document {document!r}"
            raise InputError(f"{where}: {missing} is judged but not in the collection")
        first = lines.setdefault((query, document), number)
        before = found.setdefault(query, {}).setdefault(document, grade)
        if before != grade:
            raise InputError(
                f"{where}: document {document!r} of query {query!r} has grade {grade}, but {before} in line {first}; "
                "keep one"
            )
    return {query: grades for query, grades in found.items() if max(grades.values()) > 0}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
