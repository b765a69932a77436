"""What a first stage would hand on, without grades: questions and texts of many collections, for a teacher to order.

Lists with grades are near misses of each other; what a cross-encoder gets to see is the first hundred of a first pass,
most of them far off. A teacher needs no labels, so any sentence of a passage may ask, and whatever the sum of BM25 and
the bi-encoder finds for it answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from texts.pairs import PairEncoder
from training.embed import Embedder
from training.groups import Group
from training.mining import Mine

DEPTH = 100  # how far down candidates are drawn
OWN = 0.3  # how often a text that asks stays among its own candidates
SHORTEST, LONGEST = 4, 32  # words of a sentence that asks
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_'-]+")


def asked_by(text: str, known: dict[str, int], rng: np.random.Generator) -> str | None:
    """A sentence of a text, or the two to seven rarest words of one in their order; None where none is fit."""
    fit = [s for s in _SENTENCE.split(text) if SHORTEST <= len(s.split()) <= LONGEST]
    if not fit:
        return None
    sentence = str(rng.choice(fit))
    if rng.random() < 0.5:
        return sentence
    words = list(dict.fromkeys(word.lower() for word in _WORD.findall(sentence)))
    rare = set(sorted(words, key=lambda word: known.get(word, 0))[: int(rng.integers(2, 8))])
    return " ".join(word for word in words if word in rare) or None


def standardised(values: np.ndarray) -> np.ndarray:
    """float32, mean 0 and standard deviation 1; zeros where all are equal."""
    return ((values - values.mean()) / max(float(values.std()), 1e-6)).astype(np.float32)


class Pool:
    """One collection's passages, which may ask and be found."""

    def __init__(self, mine: Mine, embedder: Embedder) -> None:
        self._mine, self._embedder = mine, embedder
        self._known: dict[str, int] = {}
        for name in mine.ids:
            for word in {w.lower() for w in _WORD.findall(mine.collection.documents[name])}:
                self._known[word] = self._known.get(word, 0) + 1

    def question(self, rng: np.random.Generator) -> tuple[str, np.ndarray, int | None]:
        """A train question or what a passage asks; its vector; the passage to leave out."""
        mine = self._mine
        if rng.random() < 0.4:
            place = int(rng.integers(len(mine.questions)))
            return mine.collection.queries[mine.questions[place]], mine.asked[place], None
        place = int(rng.integers(len(mine.ids)))
        text = asked_by(mine.collection.documents[mine.ids[place]], self._known, rng)
        if text is None:
            return self.question(rng)
        return text, self._embedder.vector(text), place if rng.random() > OWN else None

    def group(self, encoder: PairEncoder, size: int, rng: np.random.Generator) -> Group:
        """Candidates of one question, more of the upper ranks than of the lower, and what the first stage says."""
        text, vector, left_out = self.question(rng)
        lexical, dense = standardised(self._mine.index.scores(text)), standardised(self._mine.vectors @ vector)
        both = 0.4 * lexical + 0.6 * dense
        if left_out is not None:
            both[left_out] = -np.inf
        ranked = np.argsort(-both, kind="stable")[:DEPTH]
        ranks = np.sort(rng.choice(DEPTH, size, replace=False, p=SHARES))
        chosen = ranked[ranks]
        documents = [self._mine.collection.documents[self._mine.ids[i]] for i in chosen]
        prior = standardised(0.4 * standardised(lexical[chosen]) + 0.6 * standardised(dense[chosen]))
        return Group([encoder.pair(text, document) for document in documents], [], prior)


SHARES = 1.0 / (np.arange(DEPTH) + 5.0)
SHARES /= SHARES.sum()


def retrieved_groups(
    mines: list[Mine], model: Path, encoder: PairEncoder, size: int, rng: np.random.Generator
) -> Iterator[Group]:
    """Endless groups of all collections in turn."""
    embedder = Embedder(model)
    pools = [Pool(mine, embedder) for mine in mines]
    while True:
        for pool in pools:
            yield pool.group(encoder, size, rng)
