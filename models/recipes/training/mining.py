"""Training questions with hard negatives: what BM25 and the bi-encoder find, unless it looks as good as the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from texts.data import Bm25, Collection, read_collection
from texts.pairs import PairEncoder
from training.embed import cached_vectors
from training.groups import Group

# Train splits whose licence allows shipping what is trained on them.
COLLECTIONS = ("nq-qed", "medquad", "scifact", "boolq-dev", "pubmedqa")
DEPTH = 15  # candidates taken from each of BM25 and the bi-encoder
TOO_GOOD = 0.95  # a candidate whose cosine exceeds this share of the answer's may answer too


@dataclass(frozen=True, slots=True)
class Mine:
    """One collection's train questions whose answer is in the pool."""

    collection: Collection
    ids: list[str]
    vectors: np.ndarray
    index: Bm25
    questions: list[str]
    asked: np.ndarray


def open_mine(root: Path, name: str, model: Path, cache: Path, passages: int) -> Mine:
    """A fixed pool of `passages` that negatives come from and a fixed sample of questions, three for ten of them, with
    vectors of both."""
    rng = np.random.default_rng(7)
    collection = read_collection(root, name, "train")
    ids = list(collection.documents)
    ids = [ids[i] for i in sorted(rng.choice(len(ids), min(passages, len(ids)), replace=False))]
    inside = set(ids)
    possible = [q for q in collection.sample(None) if all(d in inside for d, g in collection.qrels[q].items() if g > 0)]
    chosen = [
        possible[i] for i in sorted(rng.choice(len(possible), min(passages * 3 // 10, len(possible)), replace=False))
    ]
    vectors = cached_vectors([collection.documents[d] for d in ids], model, cache, f"{name}.passages")
    asked = cached_vectors([collection.queries[q] for q in chosen], model, cache, f"{name}.questions")
    index = Bm25({d: collection.documents[d] for d in ids})
    return Mine(collection, ids, vectors, index, chosen, asked)


def hard_negatives(mine: Mine, place: int) -> list[str]:
    """Documents near the question at `place`, by BM25 or by cosine, that are not its answers nor look as good."""
    name = mine.questions[place]
    answers = {d for d, grade in mine.collection.qrels[name].items() if grade > 0}
    cosine = mine.vectors @ mine.asked[place]
    rows = {d: i for i, d in enumerate(mine.ids)}
    limit = TOO_GOOD * max(float(cosine[rows[d]]) for d in answers)
    near = [mine.ids[i] for i in np.argsort(-cosine)[: DEPTH + len(answers)]]
    lexical = mine.index.top(mine.collection.queries[name], DEPTH + len(answers))
    found = dict.fromkeys([*near, *lexical])
    return [d for d in found if d not in answers and cosine[rows[d]] <= limit]


def mined_groups(mines: list[Mine], encoder: PairEncoder, size: int, rng: np.random.Generator) -> Iterator[Group]:
    """Endless questions of all collections in turn: one answer and `size` - 1 hard negatives."""
    while True:
        for mine in mines:
            place = int(rng.integers(len(mine.questions)))
            name = mine.questions[place]
            answers = [d for d, grade in mine.collection.qrels[name].items() if grade > 0]
            others = hard_negatives(mine, place)
            if not others:
                continue
            chosen = [str(rng.choice(answers)), *map(str, rng.permutation(others)[: size - 1])]
            query, documents = mine.collection.queries[name], mine.collection.documents
            grades = [3] + [0] * (len(chosen) - 1)
            yield Group([encoder.pair(query, documents[d]) for d in chosen], grades)
