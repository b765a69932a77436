"""Ranking collections in the BEIR layout, and a lexical first pass over them."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from cascaderank import first_pass


@dataclass(frozen=True, slots=True)
class Collection:
    """One split of one data set. `qrels[query id][document id]` is the grade; rows of grade 0 are kept."""

    name: str
    documents: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]

    def sample(self, count: int | None, seed: int = 0) -> list[str]:
        """Query ids that have a relevant document, in file order; a fixed random `count` of them if given."""
        answered = [query for query, rows in self.qrels.items() if max(rows.values()) > 0]
        if count is None or count >= len(answered):
            return answered
        chosen = np.random.default_rng(seed).choice(len(answered), count, replace=False)
        return [answered[i] for i in sorted(chosen)]


def read_collection(root: Path, name: str, split: str) -> Collection:
    """`root/name` with the judgements of one split; a document's text is its title, a full stop and its text."""
    folder = root / name
    if not (folder / "qrels" / f"{split}.tsv").is_file():
        raise FileNotFoundError(f"{folder} has no split {split!r}; give the folder of the collections with --data")
    documents = read_documents(folder)
    with (folder / "queries.jsonl").open(encoding="utf-8") as lines:
        queries = {row["_id"]: row["text"] for row in map(json.loads, lines)}
    qrels: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / f"{split}.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            qrels.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    return Collection(name, documents, {q: queries[q] for q in qrels}, qrels)


@lru_cache(maxsize=32)
def read_documents(folder: Path) -> dict[str, str]:
    """Document id to text, in file order."""
    with gzip.open(folder / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        return {
            row["_id"]: f"{row['title']}. {row['text']}" if row["title"] else row["text"]
            for row in map(json.loads, lines)
        }


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """A TREC-style run file with a header: query id to {document id: score}, best first."""
    run: dict[str, dict[str, float]] = {}
    with path.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            run.setdefault(row["query-id"], {})[row["corpus-id"]] = float(row["score"])
    return run


class Bm25:
    """The engine's BM25 over documents that have ids."""

    def __init__(self, documents: dict[str, str]) -> None:
        self.ids = list(documents)
        self._index = first_pass.Bm25(list(documents.values()))

    def scores(self, query: str) -> np.ndarray:
        """float32 score of every document, in the order of `ids`; zeros for a query of stop words only."""
        return self._index.scores(query)

    def top(self, query: str, k: int) -> dict[str, float]:
        """The k best documents with their scores, best first; equal scores in the order of the documents."""
        rows, scores = self._index.top(query, k)
        return {self.ids[i]: score for i, score in zip(rows.tolist(), scores.tolist(), strict=True)}
