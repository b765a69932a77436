"""A small request with scores known by hand, and random ones; a ranking as plain values to compare."""

from __future__ import annotations

import numpy as np

from cascaderank import Document, Ranking
from tiny import WORDS

QUERY = "red cat"
TEXTS = ["dog", "red", "red cat cat", "cat red", "fish fish", "cat", "red red red red"]
COUNTS = [0.0, 1.0, 3.0, 2.0, 0.0, 1.0, 4.0]  # of the counting cross-encoder
ORDER = [6, 2, 3, 1, 5, 0, 4]  # by count, ties by index


def random_texts(count: int, seed: int = 3) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS[:8], generator.integers(1, 12))) for _ in range(count)]


def as_documents(texts: list[str]) -> list[Document]:
    return [Document(f"d{index}", text) for index, text in enumerate(texts)]


def summary(ranking: Ranking) -> list[tuple[int, str, float | None, str | None, tuple[float | None, ...]]]:
    return [(hit.index, hit.id, hit.score, hit.stage, hit.scores) for hit in ranking]
