"""The fastest variant that loses no more than was allowed."""

from __future__ import annotations

from collections.abc import Sequence

from cascaderank.arithmetic.measure import Figures


def choose(found: Sequence[Figures], max_loss: float) -> Figures | None:
    """The fastest of ``found`` that the data show to lose at most ``max_loss`` nDCG@10; None without labelled data.

    Judged by the upper end of the loss's 95 % interval: a small loss on few queries is no evidence of a small loss. The
    present variant stays where nothing within the loss is faster; where it is itself outside, the reference, which
    loses nothing, is always there to choose.
    """
    allowed = [item for item in found if item.loss is not None and item.loss.interval[1] <= max_loss]
    return max(allowed, key=lambda item: (item.ratio[1], item.variant.present), default=None)
