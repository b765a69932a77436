"""Scores of model folders over lists of candidates, by the engine itself, kept in a cache.

Every score is what `cascaderank.Cascade` gives with that one stage on the CPU: one row a run, side by side. A line of
the cache holds one query, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cascaderank import Cascade, Document, Stage
from cascaderank.indexing import index_documents
from cascaderank.model import ModelSpec, load_spec
from cascaderank.store import Store, is_store

CHUNK = 20  # queries between two writes of the cache
ENCODED = 1000  # documents between two writes of their vectors

Queries = Sequence[tuple[str, Sequence[str]]]  # text, candidates' ids
Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bench:
    """Where scores are kept, how many runs go side by side, and where progress is shown."""

    cache: Path
    threads: int
    progress: Progress


@contextmanager
def bench(cache: Path, threads: int) -> Iterator[Bench]:
    """A `Bench` with a progress bar on the terminal."""
    cache.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        yield Bench(cache, threads, progress)


def score_lists(folder: Path, title: str, documents: Mapping[str, str], queries: Queries, where: Bench) -> list[Scores]:
    """float64 [candidates] per query, in the candidates' order. `title` names the set and is part of the cache's name.

    Raises ValueError for a model whose shown scores are not its logits: those can tie where logits do not.
    """
    spec = load_spec(folder)
    if spec.output.squashed:
        raise ValueError(f"{folder} shows {spec.output.score} scores; only raw logits are cached")
    kept = where.cache / f"{title}.{spec.name}.{spec.digest[:12]}.jsonl"
    keys = [_key(text, ids, documents) for text, ids in queries]
    known = read_scores(kept)
    missing = [number for number, key in enumerate(keys) if key not in known]
    if missing:
        new = _scored(spec, kept, documents, [queries[number] for number in missing], where)
        with kept.open("a", encoding="utf-8") as lines:
            lines.write("\n")  # ends a line that an interruption left half written
            for number, scores in zip(missing, new, strict=True):
                known[keys[number]] = scores
                lines.write(json.dumps([keys[number], scores.tolist()]) + "\n")
                lines.flush()
    return [known[key] for key in keys]


def read_scores(path: Path) -> dict[str, Scores]:
    """Key to scores; a line that an interruption left half written is skipped."""
    known: dict[str, Scores] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            key, scores = json.loads(line)
        except ValueError:
            continue
        known[key] = np.array(scores, dtype=np.float64)
    return known


def _key(text: str, ids: Sequence[str], documents: Mapping[str, str]) -> str:
    """A digest of the query and of its candidates' ids and texts."""
    content = json.dumps([text, [[i, documents[i]] for i in ids]])
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def _scored(
    spec: ModelSpec, kept: Path, documents: Mapping[str, str], queries: Queries, where: Bench
) -> Iterator[Scores]:
    """Scores query by query, `CHUNK` of them at a time side by side."""
    most = max(len(ids) for _, ids in queries)
    stage = Stage(spec.folder, keep=most, provider="cpu")
    with Cascade([stage], workers=where.threads, max_candidates=most, truncate_query=True) as cascade:
        vectors = None
        if spec.kind == "bi_encoder":
            needed = {i: documents[i] for _, ids in queries for i in ids}
            vectors = encode(cascade, needed, kept.with_suffix(".store"), kept.stem, where.progress)
        bar = where.progress.add_task(kept.stem, total=len(queries))
        for start in range(0, len(queries), CHUNK):
            chunk = queries[start : start + CHUNK]
            texts, lists = [text for text, _ in chunk], [ids for _, ids in chunk]
            if vectors is not None:
                rankings = cascade.rank_batch(texts, ids=lists, store=vectors)
            else:
                rankings = cascade.rank_batch(texts, [[Document(i, documents[i]) for i in ids] for ids in lists])
            for ranking in rankings:
                scores = np.empty(len(ranking))
                scores[ranking.order] = ranking.scores[:, 0]
                where.progress.advance(bar)
                yield scores
        where.progress.remove_task(bar)


def encode(cascade: Cascade, documents: Mapping[str, str], path: Path, title: str, progress: Progress) -> Store:
    """Vectors of at least these documents by the cascade's one model; what `path` holds is not computed again."""
    bar = progress.add_task(f"{title}: vectors", total=len(documents))
    index_documents(
        cascade,
        (Document(identifier, text) for identifier, text in documents.items()),
        path,
        append=is_store(path),
        commit_every=ENCODED,
        progress=lambda done: progress.update(bar, completed=done),
    )
    progress.remove_task(bar)
    return Store.open(path)
