"""The time kept free before a deadline for all that comes after the last run, learned from how long that took."""

from __future__ import annotations

from collections import deque

_REMEMBERED = 256  # requests that used up their time
_RESERVE = 1.5  # a record is broken now and then, mostly by a little: each time somebody would be late
_LEAST_S = 0.001  # what building the ranking costs
_MOST = 0.05  # of the time until the deadline: a system that stalls now and then must not take more away from everybody


class Margin:
    """Whoever stops for the deadline's sake is done a little later: the run in progress ends at its next node, the
    ranking is built, a thread or an event loop wakes up. The longest of that among the last requests, and half as much
    again, is kept free."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: deque[float] = deque([_LEAST_S], maxlen=_REMEMBERED)

    def of(self, deadline_s: float) -> float:
        """Seconds to stop ahead of a deadline that is ``deadline_s`` away."""
        return min(_RESERVE * max(tuple(self._found)), max(_MOST * deadline_s, _LEAST_S))

    def observe(self, seconds: float) -> None:
        """A request that had to stop was done ``seconds`` after it should have stopped."""
        self._found.append(max(seconds, _LEAST_S))
