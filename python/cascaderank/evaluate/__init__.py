"""Measures of a ranking's quality and readers of labelled collections. Nothing in here is imported by ranking."""

from __future__ import annotations

from cascaderank.evaluate.data import BeirData, load_beir
from cascaderank.evaluate.metrics import bootstrap_interval, mean_reciprocal_rank, ndcg, recall, reciprocal_rank

__all__ = [
    "BeirData",
    "bootstrap_interval",
    "load_beir",
    "mean_reciprocal_rank",
    "ndcg",
    "recall",
    "reciprocal_rank",
]
