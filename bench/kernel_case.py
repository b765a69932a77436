"""One kernel and its rivals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Call = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """``others`` are the rivals; ``same(ours, theirs)`` says whether two answers agree. ``wanted`` is the promised
    ratio to the fastest rival, None where nothing is promised."""

    name: str
    ours: Call
    others: dict[str, Call]
    same: Callable[[Any, Any], bool]
    wanted: float | None = None
