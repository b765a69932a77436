"""Cut-offs and intervals in words, the same on the screen and on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def cuts(names: Sequence[str], keeps: Sequence[int]) -> str:
    """``bi 100 → ce 20``; stages left out are not named."""
    parts = [f"{name} {keep}" for name, keep in zip(names, keeps, strict=True) if keep]
    return " → ".join(parts) or "first pass alone"


def interval(ends: Sequence[float], digits: int = 3) -> str:
    return f"({ends[0]:.{digits}f} to {ends[1]:.{digits}f})"


def over_first_pass(found: Mapping[str, Any]) -> str:
    """The recommended cascade beside no cascade at all; a difference that may be none is said to be one."""
    text = f"nDCG@10 {found['difference']:+.3f} {interval(found['interval'])} over the first pass alone"
    return text if found["interval"][0] > 0 else f"{text}: no gain is proven; label more queries, or do without stages"
