"""Scores of a shipped folder over a set's candidates, one row per run as the engine does, kept in a cache."""

from __future__ import annotations

import json
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data import Bm25, Collection, read_collection, read_run
from graph import session
from pairs import PairEncoder, clean_tokenizer, feed
from parity import mean_pool
from rich.progress import track


@dataclass(frozen=True, slots=True)
class Task:
    """A set, its split, and where its candidates come from: BM25 over the corpus, the judged list, or a run file."""

    name: str
    split: str
    source: str  # "bm25" | "judged" | "run"

    def __str__(self) -> str:
        return f"{self.name} {self.split}"


@dataclass(frozen=True, slots=True)
class Lists:
    """A task's collection and, per query, its candidates with the first pass's scores, best first."""

    task: Task
    collection: Collection
    first: dict[str, dict[str, float]]


def read_lists(root: Path, task: Task, queries: int, depth: int) -> Lists:
    """A fixed sample of queries with relevant documents, and their first `depth` candidates."""
    collection = read_collection(root, task.name, task.split)
    names = collection.sample(queries)
    if task.source == "run":
        run = read_run(root / task.name / "runs" / "bm25.tsv")
        return Lists(task, collection, {q: dict(list(run[q].items())[:depth]) for q in names if q in run})
    index = Bm25(collection.documents)
    if task.source == "bm25":
        return Lists(task, collection, {q: index.top(collection.queries[q], depth) for q in names})
    first = {}
    for q in names:
        scores = dict(zip(index.ids, index.scores(collection.queries[q]).tolist(), strict=True))
        judged = {d: scores[d] for d in collection.qrels[q]}
        first[q] = dict(sorted(judged.items(), key=lambda item: -item[1]))
    return Lists(task, collection, first)


def model_scores(folder: Path, lists: Lists, cache: Path) -> list[np.ndarray]:
    """float64 scores per query, in the order of its candidates; computed once per model file, set and candidates."""
    manifest = tomllib.loads((folder / "model.toml").read_text(encoding="utf-8"))
    depth = max(len(documents) for documents in lists.first.values())
    candidates = json.dumps([[query, *documents] for query, documents in lists.first.items()])
    digest = f"{zlib.crc32(candidates.encode()):08x}.{manifest['files']['model.onnx'][:12]}"
    kept = cache / f"{lists.task.name}.{lists.task.split}.{len(lists.first)}.{depth}.{manifest['name']}.{digest}.json"
    if not kept.is_file():
        encoder = PairEncoder(clean_tokenizer(folder / "tokenizer.json"), manifest["max_length"])
        cross = manifest["kind"] == "cross_encoder"
        rows = _pair_scores(folder, lists, encoder) if cross else _vector_scores(folder, lists, encoder)
        cache.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(rows), encoding="utf-8")
    return [np.array(row) for row in json.loads(kept.read_text(encoding="utf-8"))]


def _pair_scores(folder: Path, lists: Lists, encoder: PairEncoder) -> list[list[float]]:
    model, queries, documents = session(folder / "model.onnx"), lists.collection.queries, lists.collection.documents
    return [
        [float(model.run(None, feed([encoder.pair(queries[q], documents[d])]))[0][0, 0]) for d in candidates]
        for q, candidates in track(lists.first.items(), f"{lists.task}: {folder.name}", total=len(lists.first))
    ]


def _vector_scores(folder: Path, lists: Lists, encoder: PairEncoder) -> list[list[float]]:
    model, documents = session(folder / "model.onnx"), lists.collection.documents

    def vector(text: str) -> np.ndarray:
        arrays = feed([encoder.single(text)])
        return mean_pool(model.run(None, arrays)[0], arrays["attention_mask"])[0]

    needed = dict.fromkeys(d for candidates in lists.first.values() for d in candidates)
    vectors = {d: vector(documents[d]) for d in track(needed, f"{lists.task}: {folder.name}")}
    rows = []
    for q, candidates in lists.first.items():
        query = vector(lists.collection.queries[q])
        rows.append([float(vectors[d] @ query) for d in candidates])
    return rows
