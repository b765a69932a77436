"""Cut-offs and intervals in words, the same on the screen and on the page."""

from __future__ import annotations

from collections.abc import Sequence


def cuts(names: Sequence[str], keeps: Sequence[int]) -> str:
    """``bi 100 → ce 20``; stages left out are not named."""
    parts = [f"{name} {keep}" for name, keep in zip(names, keeps, strict=True) if keep]
    return " → ".join(parts) or "first pass alone"


def interval(ends: Sequence[float], digits: int = 3) -> str:
    return f"({ends[0]:.{digits}f} to {ends[1]:.{digits}f})"
