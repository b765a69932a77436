"""What work costs on this machine, learned from the work itself."""

from __future__ import annotations

from math import exp, log

_FIRST = 8  # observations that are simply averaged before old ones begin to fade
_FADING = 1.0 / _FIRST
_LARGEST_STEP = 0.7  # of the logarithm: whatever took more than twice as long as foretold counts as twice as long


class Cost:
    """Seconds of a piece of work by its size (tokens of a micro-batch, candidates of a stage).

    One rate per power of two of the size, since attention grows faster than a row and a call costs something however
    small it is. Each is a moving average of the logarithm with steps of bounded length: one run that the system
    interrupted for a second hardly moves it, a machine that became slower does within a few runs. A size never seen
    gets the rate of the nearest one that was.
    """

    __slots__ = ("_rates", "_seen")

    def __init__(self) -> None:
        self._rates: dict[int, float] = {}
        self._seen: dict[int, int] = {}

    def estimate(self, size: int) -> float:
        """Seconds for work of that size; 0.0 while nothing has been observed."""
        if not self._rates:
            return 0.0
        bucket = size.bit_length()
        rate = self._rates.get(bucket)
        if rate is None:
            rate = self._rates[min(tuple(self._rates), key=lambda known: abs(known - bucket))]
        return size * exp(rate)

    def observe(self, size: int, seconds: float) -> None:
        """Unlocked on purpose: a lost update costs one sample of an average."""
        if size < 1 or seconds <= 0.0:
            return
        bucket, rate = size.bit_length(), log(seconds / size)
        seen = self._seen.get(bucket, 0)
        self._seen[bucket] = min(seen + 1, _FIRST)
        if not seen:
            self._rates[bucket] = rate
            return
        step = min(max(rate - self._rates[bucket], -_LARGEST_STEP), _LARGEST_STEP)
        self._rates[bucket] += step * (1.0 / (seen + 1) if seen < _FIRST else _FADING)
