"""Average precision, rank agreement and what sums are made of; nDCG and recall are the engine's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def average_precision(grades: Mapping[str, int], ranked: Sequence[str]) -> float:
    """Mean, over all relevant documents (grade above 0), of the precision at their rank; one not ranked counts 0."""
    relevant = sum(grade > 0 for grade in grades.values())
    hits = np.array([grades.get(document, 0) > 0 for document in ranked], dtype=np.float64)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision @ hits) / relevant if relevant else 0.0


def kendall_tau(left: np.ndarray, right: np.ndarray) -> float:
    """Kendall's tau-a of two score vectors: agreeing minus disagreeing pairs over all pairs, ties counting zero."""
    above = np.triu_indices(len(left), 1)
    agreement = np.sign(np.subtract.outer(left, left)[above]) * np.sign(np.subtract.outer(right, right)[above])
    return float(agreement.mean())


def z_scores(scores: np.ndarray) -> np.ndarray:
    """Scores of one query's candidates to mean 0, deviation 1; all zero where every score is equal."""
    deviation = scores.std()
    return (scores - scores.mean()) / deviation if deviation > 0 else np.zeros_like(scores)


def reciprocal_ranks(scores: np.ndarray, k: float = 60.0) -> np.ndarray:
    """1 / (k + rank) of each candidate, ranks from 1 by score descending; equal scores in the order given."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return 1.0 / (k + ranks)
