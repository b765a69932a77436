"""The requests under way: how much work lies before a new one, whose turn it is, and when there are too many."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cascaderank.errors import OverloadedError
from cascaderank.job import Budget, clock

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
        if self.budget.cancellation.cancelled:
            return 0.0  # it ends with its run in progress
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
        self._places = 0
        self._lock = threading.Lock()

    @property
    def under_way(self) -> int:
        """Requests that have a place: they are being answered, or wait for a thread."""
        return self._places

    def take_place(self) -> None:
        """Raises ``OverloadedError`` where all are taken. Whoever takes one calls ``leave_place``, whatever happens."""
        with self._lock:
            if self._limit is not None and self._places >= self._limit:
                # About when one of them is through.
                wait = sum(flight.remaining for flight in self._flights) / max(len(self._flights), 1)
                raise OverloadedError(
                    f"{self._limit} requests are under way, as many as max_requests allows; try again in {wait:.2g} s",
                    retry_after_s=wait,
                )
            self._places += 1

    def leave_place(self) -> None:
        with self._lock:
            self._places -= 1

    @contextmanager
    def place(self) -> Iterator[None]:
        self.take_place()
        try:
            yield
        finally:
            self.leave_place()

    def turn(self, budget: Budget, seconds: float) -> None:
        """Give a request of ``seconds`` of work its place in line."""
        budget.order = clock() + max(_PATIENCE * seconds, _SHORTEST_S) if budget.due is None else budget.due

    @contextmanager
    def admit(self, budget: Budget, seconds: float) -> Iterator[Flight]:
        """A turn for work of ``seconds``, for as long as the context lasts.

        Turns go by the deadline; without one by arrival and size, so that everybody waits for a like multiple of his
        own work and a short request does not wait for a long one. Where the places are bounded, raises
        ``OverloadedError`` when those ahead leave no time before the deadline.
        """
        flight = Flight(budget, seconds, self)
        if budget.order == math.inf:
            self.turn(budget, seconds)
        with self._lock:
            if self._limit is not None:
                self._check(flight)
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

    def _check(self, flight: Flight) -> None:
        due = flight.budget.due
        if due is None or not self._flights:
            return
        ahead = sum(other.remaining for other in self._flights if other.budget.order < due)
        if ahead and (late := clock() + ahead - due) > 0:
            raise OverloadedError(
                f"the requests ahead take {ahead * 1e3:.0f} ms, which leaves nothing before this one's deadline; try "
                f"again in {late:.2g} s",
                retry_after_s=late,
            )
