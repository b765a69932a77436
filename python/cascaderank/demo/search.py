"""The demo's search: BM25's candidates, the cascade's answers, how they climbed, and what the alternative costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from cascaderank.cascade import Cascade
from cascaderank.documents import Document
from cascaderank.errors import InputError
from cascaderank.first_pass import Bm25
from cascaderank.results import Ranking
from cascaderank.store import Store

CANDIDATES = 1000
SAMPLE = 50


@dataclass(frozen=True, slots=True)
class FirstPass:
    """BM25's candidates for a question, best first: ids and scores."""

    question: str
    ids: tuple[str, ...]
    scores: tuple[float, ...]

    def rank_by(self, cascade: Cascade, store: Store, top_n: int | None = None) -> Ranking:
        return cascade.rank(self.question, ids=self.ids, scores=self.scores, store=store, top_n=top_n)


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the answers: its score, its 1-based rank in the first pass and after each stage, and the probability that
    it is relevant where the last stage's model has a calibration."""

    document: Document
    score: float | None
    ranks: tuple[int, ...]
    probability: float | None = None

    @property
    def body(self) -> str:
        """The first sentence or line of the passage, without the line that repeats its name."""
        lines = [line.strip() for line in self.document.text.splitlines()[1:] if line.strip()]
        return " ".join(lines) if lines else self.document.text


@dataclass(frozen=True, slots=True)
class Climb:
    """What one stage did for the final answers: how many it moved up, and the one it brought up furthest."""

    stage: str
    risen: int
    best_id: str
    best_from: int
    best_to: int


@dataclass(frozen=True, slots=True)
class Alternative:
    """The last stage's model on ``sample`` of ``candidates`` candidates, and what all would take at that rate."""

    model: str
    sample: int
    candidates: int
    sample_ms: float

    @property
    def extrapolated_ms(self) -> float:
        return self.sample_ms / self.sample * self.candidates


class Search:
    """A corpus with its BM25 index and its store; read-only after construction."""

    def __init__(self, documents: Sequence[Document], store: Store) -> None:
        self.documents = documents
        self.store = store
        self._index = Bm25([document.text for document in documents])

    def first_pass(self, question: str, count: int = CANDIDATES) -> FirstPass:
        rows, scores = self._index.top(question, count)
        return FirstPass(question, tuple(self.documents[row].id for row in rows.tolist()), tuple(scores.tolist()))

    def answers(self, first: FirstPass, ranking: Ranking, orders: Sequence[Sequence[str]]) -> list[Answer]:
        """The ranking's hits with their passages; ``orders`` are the ids, best first, after each stage but the last."""
        places = [{name: place for place, name in enumerate(ids, start=1)} for ids in (first.ids, *orders)]
        by_id = {document.id: document for document in self.documents}
        return [
            Answer(by_id[hit.id], hit.score, (*(place[hit.id] for place in places), hit.rank), hit.probability)
            for hit in ranking
        ]

    def time_alternative(self, first: FirstPass, alone: Cascade, sample: int = SAMPLE) -> Alternative:
        """Time ``alone`` (one stage) on evenly spaced candidates, from the best to the worst."""
        count = min(sample, len(first.ids))
        if count < 1:
            raise InputError("alternative: no candidates to time the model on")
        chosen = [place * len(first.ids) // count for place in range(count)]
        ids = tuple(first.ids[place] for place in chosen)
        part = FirstPass(first.question, ids, tuple(first.scores[place] for place in chosen))
        begun = time.perf_counter()
        part.rank_by(alone, self.store)
        return Alternative(alone.names[0], count, len(first.ids), (time.perf_counter() - begun) * 1e3)


def climbs(answers: Sequence[Answer], names: Sequence[str]) -> list[Climb]:
    """One entry per stage: which of the final answers it moved up."""
    found: list[Climb] = []
    for number, name in enumerate(names):
        moves = [(answer.ranks[number], answer.ranks[number + 1], answer.document.id) for answer in answers]
        best = max(moves, key=lambda move: move[0] - move[1], default=(0, 0, ""))
        risen = sum(after < before for before, after, _ in moves)
        found.append(Climb(name, risen, best[2], best[0], best[1]))
    return found
