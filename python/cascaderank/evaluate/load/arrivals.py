"""When requests are due: a Poisson process, drawn ahead from a seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import InputError


def poisson_arrivals(rate: float, duration_s: float, seed: int = 0) -> NDArray[np.float64]:
    """Seconds from the start, float64 ``[n]``, ascending, all below ``duration_s``; on average ``rate`` a second.

    The gaps are independent and exponential: what many callers who do not know each other add up to. The same seed
    gives the same times. Raises ``InputError`` unless both are positive and finite.
    """
    if not (0.0 < rate < math.inf and 0.0 < duration_s < math.inf):
        raise InputError(f"load: {rate} requests a second for {duration_s} s; both must be positive and finite")
    generator = np.random.default_rng(seed)
    expected = rate * duration_s
    times = np.cumsum(generator.exponential(1.0 / rate, size=int(expected + 6.0 * math.sqrt(expected)) + 16))
    while times[-1] < duration_s:  # rarer than one draw in a hundred million
        more = np.cumsum(generator.exponential(1.0 / rate, size=len(times)))
        times = np.concatenate([times, times[-1] + more])
    return times[times < duration_s]
