"""How many requests of one cascade may be under way: the next is refused at once, with when to come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cascaderank.errors import OverloadedError
from cascaderank.job import clock
from cascaderank.schedule import available_cores


class Gate:
    """Counts requests of one event loop; not for threads. A request counts once, however many documents it has."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self.limit = limit
        self.under_way = 0
        self._typical_s = 0.0

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Raises ``OverloadedError`` where ``limit`` requests are under way."""
        if self.under_way >= self.limit:
            raise OverloadedError(
                f"cascade {self._name!r}: {self.under_way} requests are under way, at most {self.limit} are taken; "
                "come again after Retry-After, or send the request elsewhere",
                retry_after_s=self.expected_wait_s,
            )
        self.under_way += 1
        entered = clock()
        try:
            yield
        finally:
            self.under_way -= 1
            took = clock() - entered
            self._typical_s = took if self._typical_s == 0.0 else 0.9 * self._typical_s + 0.1 * took

    @property
    def expected_wait_s(self) -> float:
        """When about half of those under way will have been answered, by how long requests took so far."""
        return max(0.1, self._typical_s * self.under_way / (2 * available_cores()))
