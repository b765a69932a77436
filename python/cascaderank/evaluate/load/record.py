"""What a load run keeps of each request: plain times and counts, exact, nothing put into buckets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cascaderank.evaluate.requests import Request

clock = time.perf_counter
Status = Literal["answered", "refused", "failed", "unanswered"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a target made of one request; ``at`` is when it was complete (``clock()`` seconds).

    ``what`` names the refusal or the failure (an exception's class, an HTTP status), ``top`` int32 are the candidates'
    indices, best first, ``stages`` (name, milliseconds) where the target tells them, ``total_ms`` its own time for the
    request.
    """

    status: Status
    at: float
    what: str = ""
    degraded: bool = False
    top: NDArray[np.int32] | None = None
    stages: tuple[tuple[str, float], ...] = ()
    total_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """One request; seconds from the start of the run. ``due_s`` is when it was to be sent, ``sent_s`` when it was."""

    request: Request
    due_s: float
    sent_s: float
    done_s: float
    reply: Reply

    @property
    def latency_ms(self) -> float:
        """From when it was due; of an unanswered request how long it was waited for, which is a lower bound."""
        return (self.done_s - self.due_s) * 1e3

    @property
    def lateness_ms(self) -> float:
        """The driver's own error."""
        return (self.sent_s - self.due_s) * 1e3


@dataclass(frozen=True, slots=True)
class LoadRun:
    """An open loop. What was due before ``settle_s`` only filled the queue and is not counted; the measurement lasts
    from ``settle_s`` to ``settle_s + duration_s``. ``rate`` is requests a second."""

    sent: Sequence[Sent]
    rate: float
    duration_s: float
    settle_s: float = 0.0
    deadline_ms: float | None = None

    @property
    def measured(self) -> list[Sent]:
        """The requests due within the measurement."""
        ends = self.settle_s + self.duration_s
        return [one for one in self.sent if self.settle_s <= one.due_s < ends]

    @property
    def waited_ms(self) -> list[float]:
        """The latencies that percentiles are of: measured answers and, as lower bounds, what nobody answered."""
        return [one.latency_ms for one in self.measured if one.reply.status in ("answered", "unanswered")]
