"""Groups of one query's candidates, which cross-encoders are taught with; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from texts.data import Collection
from texts.pairs import PairEncoder

Row = tuple[list[int], int]


@dataclass(frozen=True, slots=True)
class Group:
    """One query's candidates as rows, with their grades; no grades where only a teacher knows.

    `prior` float32 [rows] is what cheaper rankers say, with a standard deviation of 1: a teacher's scores are blended
    with it.
    """

    rows: list[Row]
    grades: list[int]
    prior: np.ndarray | None = None


def graded_groups(
    collections: Sequence[Collection], encoder: PairEncoder, size: int, rng: np.random.Generator
) -> Iterator[Group]:
    """Endless shuffled passes over all lists: every graded passage, filled up with others of grade 0."""
    names = [(collection, name) for collection in collections for name in collection.sample(None)]
    while True:
        for place in rng.permutation(len(names)):
            lists, name = names[place]
            rows = lists.qrels[name]
            shuffled = [str(d) for d in rng.permutation(list(rows))]
            chosen = sorted(shuffled, key=lambda d: rows[d] == 0)[:size]
            query = lists.queries[name]
            yield Group([encoder.pair(query, lists.documents[d]) for d in chosen], [rows[d] for d in chosen])
