"""One stage's micro-batches in one request, as they stand in line, and what a worker does with those it took."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cascaderank.cost import Cost
from cascaderank.session import Cancellation, Cancelled, OutOfMemory, Runner, Session, SharedOptions

clock = time.perf_counter
# Of one micro-batch: seconds inside the model, its error, or None when its request's own switch ended the run, or there
# was no memory for it.
Result = float | BaseException | None


class MicroBatches(Protocol):
    """The work of one stage in one request: ``tokens[b]`` is the size of micro-batch ``b``, from which its time is
    foretold; ``shares`` says whether a run may hold those of several requests."""

    @property
    def tokens(self) -> Sequence[int]: ...

    @property
    def shares(self) -> bool: ...

    def run(self, batch: int, runner: Runner, options: Any) -> float:
        """Run one and keep its output; returns the seconds inside the model."""
        ...

    def together(self, members: Sequence[tuple[Any, int]]) -> int:
        """Tokens of one run of all ``members`` (whose work, which of its micro-batches), 0 where they do not fit."""
        ...

    def run_together(
        self, members: Sequence[tuple[Any, int]], runner: Runner, options: Any
    ) -> list[float | BaseException]:
        """Run all in one; for each its share of the seconds inside the model, or its own error."""
        ...


@dataclass(slots=True)
class Budget:
    """When the answer of one request is due (``clock()`` seconds, or None), and the switch that ends its runs.

    ``order`` is its place in line: whoever has the smaller one is served first; requests that nobody waits for
    (encoding ahead) come last. ``expired`` is set when work was left undone for the deadline's sake, ``out_of_memory``
    when it was for want of memory. ``served_s`` adds up the time its runs took, as if nobody else had been served
    meanwhile.
    """

    due: float | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    expired: bool = False
    order: float = math.inf
    served_s: float = 0.0
    out_of_memory: bool = False

    def allows(self, seconds: float) -> bool:
        """Whether work that takes ``seconds`` would still be done in time; notes it when not."""
        if not self.has_room(seconds):
            self.expired = True
        return not self.expired

    def has_room(self, seconds: float) -> bool:
        return not self.expired and (self.due is None or clock() + seconds <= self.due)


@dataclass(slots=True, eq=False)
class Job:
    """One stage's micro-batches in one request. Everything but ``run`` belongs to the line's lock."""

    session: Session
    work: MicroBatches
    cost: Cost
    budget: Budget
    lanes: int
    taken: int = 0
    active: int = 0
    shared: int = 0
    done: list[int] = field(default_factory=list)
    model_s: float = 0.0
    error: BaseException | None = None
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> bool:
        return self.taken < len(self.work.tokens)

    def run(self, batch: int) -> Result:
        try:
            with self.session.lease() as runner:
                seconds = self.work.run(batch, runner, self.budget.cancellation.options())
        except Cancelled:
            return None
        except OutOfMemory:
            self.budget.out_of_memory = True
            return None
        except BaseException as error:  # noqa: BLE001  it is raised again where the request waits
            return error
        self.cost.observe(self.work.tokens[batch], seconds)
        return seconds


def run_taken(taken: Sequence[tuple[Job, int]], tokens: int) -> list[Result]:
    """Run what a worker took: one micro-batch, or several of different requests, ``tokens`` in all, in one run."""
    first = taken[0][0]
    if len(taken) == 1:
        return [first.run(taken[0][1])]
    try:
        with first.session.lease() as runner, SharedOptions([job.budget.cancellation for job, _ in taken]) as options:
            found = first.work.run_together([(job.work, batch) for job, batch in taken], runner, options)
    except Cancelled:
        return [None for _ in taken]
    except Exception:  # noqa: BLE001  whose fault it is shows when each runs alone
        return [job.run(batch) for job, batch in taken]
    seconds = [result for result in found if isinstance(result, float)]
    if len(seconds) == len(found):
        first.cost.observe(tokens, sum(seconds))
    return list(found)
