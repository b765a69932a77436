"""Cut-offs with a guarantee: expected recall loss at most alpha, with confidence 1 - delta.

Learn-then-test (Angelopoulos, Bates, Candès, Jordan, Lei, 2021, arXiv 2110.01052): every setting on a path that was
fixed before looking at the labels is a hypothesis "its risk exceeds alpha"; fixed-sequence testing goes along the path
from the safest setting and stops at the first hypothesis that cannot be rejected, so that all rejected ones hold
together with confidence 1 - delta. The p-values are those of Hoeffding and Bentkus for losses in [0, 1] (Bates,
Angelopoulos, Lei, Malik, Jordan, 2021, arXiv 2101.02703), or the exact binomial where a loss can be 0 or 1 only.

The risk is one for the whole cascade, the recall of its final set against the first pass's candidates: certifying
each stage on its own would not add up (Xu et al., 2024, arXiv 2404.17769). It holds for queries exchangeable with the
labelled ones it was tested on (those with a relevant candidate), for the same first pass, models and kinds of
documents, and says nothing of a single query.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import InputError

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Certified:
    """The last setting of the path that passed (``step``), its p-value and mean loss on the ``queries`` used, and the
    p-values of all settings that were tested."""

    step: int
    p_value: float
    loss: float
    queries: int
    alpha: float
    confidence: float
    test: str
    p_values: tuple[float, ...]


def binomial_tail(count: int, trials: int, share: float) -> float:
    """P(Binomial(trials, share) <= count)."""
    if count >= trials:
        return 1.0
    logs = [
        math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
        + hits * math.log(share) + (trials - hits) * math.log1p(-share)
        for hits in range(count + 1)
    ]  # fmt: skip
    top = max(logs)
    return min(1.0, math.exp(top) * math.fsum(math.exp(value - top) for value in logs))


def binomial_p_value(losses: Sequence[float] | Float64, alpha: float) -> float:
    """Exact p-value of "the mean of these 0/1 losses exceeds alpha" for independent queries."""
    return binomial_tail(round(float(np.sum(losses))), len(losses), alpha)


def hoeffding_bentkus_p_value(losses: Sequence[float] | Float64, alpha: float) -> float:
    """Valid p-value of "the expected loss exceeds alpha" for independent losses in [0, 1]: the smaller of Hoeffding's
    exp(-n h(mean, alpha)), h the relative entropy of two coins, and Bentkus's e P(Binomial(n, alpha) <= n mean)."""
    count = len(losses)
    mean = min(float(np.mean(losses)), alpha)
    entropy = (1.0 - mean) * math.log((1.0 - mean) / (1.0 - alpha))
    if mean > 0.0:
        entropy += mean * math.log(mean / alpha)
    # Rounded a little before the ceiling: a mean of float32 losses must not count one more than their sum.
    bentkus = math.e * binomial_tail(math.ceil(round(count * float(np.mean(losses)), 6)), count, alpha)
    return min(1.0, math.exp(-count * entropy), bentkus)


def queries_needed(alpha: float, confidence: float) -> int:
    """The fewest queries with which even a setting without any loss could pass: (1 - alpha)^n <= delta."""
    return math.ceil(math.log(1.0 - confidence) / math.log1p(-alpha) - 1e-9)


def smallest_alpha(queries: int, confidence: float) -> float:
    """The smallest loss that so many queries could certify."""
    return -math.expm1(math.log1p(-confidence) / queries)


def check_sample(queries: int, alpha: float, confidence: float, idle: int = 0) -> None:
    """Refuse a guarantee that no result could support; ``queries`` are those used to choose, without the ``idle`` ones
    that have no relevant candidate. Raises ``InputError``."""
    if not 0.0 < alpha < 1.0 or not 0.0 < confidence < 1.0:
        raise InputError(f"guarantee: max recall loss {alpha} and confidence {confidence} must lie between 0 and 1")
    needed = queries_needed(alpha, confidence)
    if queries < needed:
        said = f"here are {queries}"
        if idle:
            said += f" ({idle} more have no relevant candidate, so nothing to lose)"
        if queries:
            said += f", which could certify {smallest_alpha(queries, confidence):.3f} at best"
        raise InputError(
            f"guarantee: a recall loss of at most {alpha:g} at confidence {confidence:g} needs {needed} queries to "
            f"choose with, {2 * needed} in all because half is held back to report on; {said}. Label more queries, or "
            "allow a larger loss"
        )


def certify(losses: Float64, alpha: float, confidence: float, *, binary: bool) -> Certified:
    """Fixed-sequence testing along the rows of ``losses`` ``[steps, queries]``, the safest first.

    ``binary`` says that losses can only be 0 or 1, known before they are looked at (every query has one relevant
    candidate at most). The first row must be a setting that loses nothing; ``step`` is 0 where no other passes. Raises
    ``InputError`` where the sample is too small for any result.
    """
    count = losses.shape[1]
    check_sample(count, alpha, confidence)
    p_value = binomial_p_value if binary else hoeffding_bentkus_p_value
    tested: list[float] = []
    step = 0
    for row in losses:
        tested.append(p_value(row, alpha))
        if tested[-1] > 1.0 - confidence:
            break
        step = len(tested) - 1
    test = "exact binomial" if binary else "Hoeffding-Bentkus"
    return Certified(step, tested[step], float(losses[step].mean()), count, alpha, confidence, test, tuple(tested))


def fixed_path(most: int, keeps: Sequence[int], steps: int = 60) -> NDArray[np.int64]:
    """Cut-offs from none at all, through those of the cascade file, to twice as far on a logarithmic scale; int64
    ``[steps, stages]``. It depends on no label: ``keep ** t * most ** (1 - t)`` for t from 0 to 2, at least 1."""
    rows: list[tuple[int, ...]] = []
    for t in np.linspace(0.0, 2.0, steps):
        row: list[int] = []
        for keep in keeps:
            cut = math.exp(t * math.log(min(keep, most)) + (1.0 - t) * math.log(most))
            row.append(max(1, min(round(cut), row[-1] if row else most)))
        if not rows or tuple(row) != rows[-1]:
            rows.append(tuple(row))
    return np.array(rows, np.int64)


def margin_path(scales: Sequence[float], steps: int = 60) -> NDArray[np.float32]:
    """Margins from none (NaN) down to a hundredth of each stage's ``scale`` (the usual distance between its best and
    its worst candidate, which no label decides); float32 ``[steps, stages]``."""
    shares = np.geomspace(1.0, 0.01, steps - 1)
    rows = [np.full(len(scales), np.nan), *(share * np.asarray(scales, float) for share in shares)]
    return np.array(rows, np.float32)
