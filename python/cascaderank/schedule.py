"""Runs a stage's micro-batches: side by side on a CPU, one after another on a device, never past the deadline."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cascaderank.errors import CascadeError
from cascaderank.session import Cancellation, Cancelled, Runner, Session

clock = time.perf_counter
RunOne = Callable[[int, Runner, Any], float]


@dataclass(slots=True)
class Budget:
    """When the answer of one request is due (``clock()`` seconds, or None), and the switch that ends its runs.

    ``expired`` is set when work was left undone for the deadline's sake.
    """

    due: float | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    expired: bool = False

    def allows(self, seconds: float) -> bool:
        """Whether work that takes ``seconds`` would still be done in time; notes it when not."""
        if self.due is not None and clock() + seconds > self.due:
            self.expired = True
        return not self.expired


class Cost:
    """What one token of a micro-batch costs on this machine, from the runs so far (seconds, a moving average)."""

    __slots__ = ("_per_token",)

    def __init__(self) -> None:
        self._per_token = 0.0

    def estimate(self, tokens: int) -> float:
        return self._per_token * tokens

    def observe(self, tokens: int, seconds: float) -> None:
        # Unlocked on purpose: a lost update costs one sample of an average.
        seen = seconds / max(tokens, 1)
        self._per_token = seen if self._per_token == 0.0 else 0.8 * self._per_token + 0.2 * seen


@dataclass(slots=True)
class RunLog:
    """``done`` lists the completed micro-batches; ``model_s`` is the time inside the model per worker, ``wall_s`` the
    time until the last one finished."""

    done: list[int]
    model_s: float = 0.0
    wall_s: float = 0.0


class Workers:
    """The threads that call the model, shared by all stages and requests of one cascade, so that a thousand requests
    in flight do not run a thousand models at once."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size or available_cores()
        self._executor = ThreadPoolExecutor(self.size, thread_name_prefix="cascaderank-run")

    def run(
        self,
        session: Session,
        tokens: Sequence[int],
        run_one: RunOne,
        cost: Cost,
        budget: Budget,
    ) -> RunLog:
        """Call ``run_one(batch, runner, run_options)``, which returns its seconds inside the model, for every
        micro-batch, in order, over all workers.

        ``tokens[b]`` is the size of micro-batch ``b``, from which its time is foretold. Stops taking new ones when the
        next would be late; one that overruns all the same is terminated at the deadline. Raises the first error of a
        run.
        """
        job = _Job(session, tokens, run_one, cost, budget)
        lanes = min(self.size if session.parallel else 1, len(tokens))
        started = clock()
        try:
            futures = [self._executor.submit(job.work) for _ in range(lanes)]
        except RuntimeError:
            raise CascadeError("this cascade was closed; make a new one") from None
        for future in self._await(futures, budget):
            if future.cancelled():
                raise CascadeError("this cascade was closed while a request was under way")
            future.result()
        return RunLog(sorted(job.done), job.model_s / max(lanes, 1), clock() - started)

    def _await(self, futures: list[Future[None]], budget: Budget) -> list[Future[None]]:
        """Wait for the lanes; at the deadline end those that run, drop those still in line. Returns those that ran."""
        if budget.due is not None:
            _, late = wait(futures, timeout=max(0.0, budget.due - clock()))
            if late:
                budget.expired = True
                budget.cancellation.cancel()
                futures = [future for future in futures if not future.cancel()]
        wait(futures)
        return futures

    def close(self) -> None:
        """Waits for runs in progress: a session must not go while one of its runs is on."""
        self._executor.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True)
class _Job:
    """One stage's micro-batches, drained by several workers."""

    session: Session
    tokens: Sequence[int]
    run_one: RunOne
    cost: Cost
    budget: Budget
    next: Callable[[], int] = field(default_factory=lambda: count().__next__)  # atomic under the interpreter lock
    done: list[int] = field(default_factory=list)
    model_s: float = 0.0
    failed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self) -> None:
        model_s = 0.0
        done: list[int] = []
        tokens, cost, budget, run_one = self.tokens, self.cost, self.budget, self.run_one
        options = budget.cancellation.options()
        try:
            with self.session.lease() as runner:
                while not self.failed and not budget.cancellation.cancelled:
                    batch = self.next()
                    if batch >= len(tokens) or not budget.allows(cost.estimate(tokens[batch])):
                        break
                    seconds = run_one(batch, runner, options)
                    model_s += seconds
                    cost.observe(tokens[batch], seconds)
                    done.append(batch)
        except Cancelled:
            pass  # the request's own switch; what was done before it counts
        except BaseException:
            self.failed = True
            raise
        finally:
            with self._lock:
                self.done += done
                self.model_s += model_s


def available_cores() -> int:
    """Cores this process may use (its affinity mask where the system has one)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
