"""What is told of one explored choice, and of the difference between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.evaluate.metrics import bootstrap_interval
from cascaderank.evaluate.report.words import cuts
from cascaderank.kernels import Explored


def figures(found: Explored, row: int = 0) -> dict[str, Any]:
    """Means over queries with 95 % bootstrap intervals, predicted P50 and mean milliseconds, pairs per stage. Recall is
    that of the queries with a relevant candidate, of which there must be one."""
    quality, recall = found.ndcg[row].astype(np.float64), found.recall[row].astype(np.float64)
    recall = recall[~np.isnan(recall)]
    return {
        "ndcg_10": float(quality.mean()),
        "ndcg_10_interval": bootstrap_interval(quality),
        "recall": float(recall.mean()),
        "recall_interval": bootstrap_interval(recall),
        "p50_ms": float(np.median(found.ms[row])),
        "mean_ms": float(found.ms[row].mean()),
        "pairs": found.pairs[row].mean(axis=0).tolist(),
    }


def row_words(names: Sequence[str], row: Mapping[str, Any]) -> str:
    """The cut-offs of a row of figures, and whether limits come on top."""
    return cuts(names, row["keeps"]) + (", with its limits" if row.get("limits") else "")


def share_words(names: Sequence[str], found: Mapping[str, Any]) -> str:
    """What a budget that was given as a share comes to, and of what it is one."""
    settings, reference = found["settings"], found["budget_reference"]
    return (
        f"budget: {settings['budget_ms']:.1f} ms, {settings['budget_share']:g} of the predicted P50 "
        f"({reference['p50_ms']:.0f} ms) of {cuts(names, reference['keeps'])}, the slowest without cut-offs that "
        "does as well as the best of them, within the interval, on the choosing half"
    )


def summary(ndcg: NDArray[np.float32], ms: NDArray[np.float32]) -> dict[str, Any]:
    """Mean nDCG@10 with its interval, and the predicted P50, of one value per query."""
    quality = ndcg.astype(np.float64)
    return {
        "ndcg_10": float(quality.mean()),
        "ndcg_10_interval": bootstrap_interval(quality),
        "p50_ms": float(np.median(ms)),
    }


def difference(first: NDArray[np.float32], second: NDArray[np.float32]) -> dict[str, Any]:
    """The mean paired difference of one value per query, with its 95 % bootstrap interval."""
    values = first.astype(np.float64) - second
    return {"difference": float(values.mean()), "interval": bootstrap_interval(values)}
