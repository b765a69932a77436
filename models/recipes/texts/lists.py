"""The project's own graded lists, kept beside the recipes: queries, passage names and grades, no passages.

`graded/queries.jsonl` has `_id`, `text`, `style` (A a question, B keywords, C a described need or a claim) and `split`;
`graded/grades.tsv` a row per query and passage; `graded/again.tsv` the second opinions. Queries of one cluster share a
split. Written by `collect_grades.py`.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

from texts.data import Collection
from texts.passages import passage

GRADED = Path(__file__).resolve().parents[1] / "graded"


def read_grades(path: Path) -> dict[str, dict[str, int]]:
    """Query to {passage name: grade}."""
    grades: dict[str, dict[str, int]] = {}
    with path.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            grades.setdefault(row["query-id"], {})[row["passage"]] = int(row["score"])
    return grades


def read_lists(root: Path, split: str, folder: Path = GRADED) -> Collection:
    """One split of the lists with the passages of the collections under `root`.

    Passages that this interpreter's standard library lacks are left out; a list without a relevant one has no use and
    `Collection.sample` skips it.
    """
    with (folder / "queries.jsonl").open(encoding="utf-8") as lines:
        queries = {row["_id"]: row["text"] for row in map(json.loads, lines) if row["split"] == split}
    qrels = {query: rows for query, rows in read_grades(folder / "grades.tsv").items() if query in queries}
    texts = {name: passage(root, name) for name in dict.fromkeys(name for rows in qrels.values() for name in rows)}
    documents = {name: text for name, text in texts.items() if text is not None}
    known = {query: {n: grade for n, grade in rows.items() if n in documents} for query, rows in qrels.items()}
    return Collection("own-lists", documents, queries, {query: rows for query, rows in known.items() if rows})
