"""The requests under way: how much work lies before a new one, whose turn it is, and when there are too many."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cascaderank.errors import OverloadedError
from cascaderank.schedule import Budget, clock

_PATIENCE = 10.0  # a request without a deadline is due after so many times the time it takes alone
_SHORTEST_S = 0.05  # and not before this


@dataclass(slots=True, eq=False)
class Flight:
    """One request under way and the work it still takes, in seconds with the machine to itself."""

    budget: Budget
    planned: float
    line: Admission
    _served: float = 0.0

    @property
    def remaining(self) -> float:
        return max(0.0, self.planned - (self.budget.served_s - self._served))

    def plan(self, seconds: float) -> None:
        """What is left takes ``seconds`` from now on."""
        self.planned, self._served = seconds, self.budget.served_s

    def ahead(self) -> float:
        """Seconds of work of those that come before this request."""
        return self.line.ahead(self)


class Admission:
    """Everybody's place in line. ``limit`` requests at once, None: any number."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._flights: set[Flight] = set()
        self._lock = threading.Lock()

    @property
    def under_way(self) -> int:
        return len(self._flights)

    @contextmanager
    def admit(self, budget: Budget, seconds: float) -> Iterator[Flight]:
        """A place in line for work of ``seconds``, for as long as the context lasts.

        Places go by the deadline; without one by arrival and size, so that everybody waits for a like multiple of his
        own work and a short request does not wait for a long one. Raises ``OverloadedError`` where all places are
        taken, and, where their number is bounded, where those ahead leave no time before the deadline.
        """
        flight = Flight(budget, seconds, self)
        budget.order = clock() + max(_PATIENCE * seconds, _SHORTEST_S) if budget.due is None else budget.due
        with self._lock:
            if self._limit is not None:
                self._check(flight, self._limit)
            self._flights.add(flight)
        try:
            yield flight
        finally:
            with self._lock:
                self._flights.discard(flight)

    def ahead(self, flight: Flight) -> float:
        order = flight.budget.order
        with self._lock:
            return sum(other.remaining for other in self._flights if other.budget.order < order)

    def _check(self, flight: Flight, limit: int) -> None:
        total = sum(other.remaining for other in self._flights)
        if len(self._flights) >= limit:
            wait = total / len(self._flights)  # about when one of them is through
            raise OverloadedError(
                f"{limit} requests are under way, as many as max_requests allows; try again in {wait:.2g} s",
                retry_after_s=wait,
            )
        due = flight.budget.due
        if due is None or not total:
            return
        ahead = sum(other.remaining for other in self._flights if other.budget.order < due)
        if (late := clock() + ahead - due) > 0:
            raise OverloadedError(
                f"the requests ahead take {ahead * 1e3:.0f} ms, which leaves nothing before this one's deadline; try "
                f"again in {late:.2g} s",
                retry_after_s=late,
            )
