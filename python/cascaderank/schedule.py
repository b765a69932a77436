"""Runs the micro-batches of all requests on one set of threads: earliest due first, never past the deadline."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cascaderank.cost import Cost
from cascaderank.errors import CascadeError
from cascaderank.session import Cancellation, Cancelled, OutOfMemory, Runner, Session

clock = time.perf_counter
RunOne = Callable[[int, Runner, Any], float]


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
        if self.due is not None and clock() + seconds > self.due:
            self.expired = True
        return not self.expired


@dataclass(slots=True)
class RunLog:
    """``done`` lists the completed micro-batches; ``model_s`` is the time inside the model of all workers together,
    ``lanes`` how many could work at once, ``wall_s`` the time until the last one finished."""

    done: list[int]
    model_s: float
    lanes: int
    wall_s: float


class Workers:
    """The threads that call the model, shared by all stages and requests of one cascade.

    Each takes one micro-batch after another, always of the request that is due first, so that a thousand requests in
    flight neither run a thousand models at once nor make a short one wait for a long one. Runs with threads of their
    own count as that many workers. A session that cannot run side by side is used by one worker at a time.
    """

    def __init__(self, size: int | None = None) -> None:
        self.size = size or available_cores()
        self._line = _Line(self.size)
        # Also when nobody closes the cascade, and before the interpreter goes: a session must not go during a run.
        self._close = weakref.finalize(self, self._line.close)

    def run(
        self,
        session: Session,
        tokens: Sequence[int],
        run_one: RunOne,
        cost: Cost,
        budget: Budget,
        lanes: int | None = None,
    ) -> RunLog:
        """Call ``run_one(batch, runner, run_options)``, which returns its seconds inside the model, for every
        micro-batch, in order, over at most ``lanes`` workers (as many as there is room for by default).

        ``tokens[b]`` is the size of micro-batch ``b``, from which its time is foretold. Stops taking new ones when the
        next would be late; one that overruns all the same is terminated at the deadline. Raises the first error of a
        run.
        """
        lanes = min(lanes or self.size, max(self.size // session.threads, 1), len(tokens))
        job = _Job(session, tokens, run_one, cost, budget, lanes if session.parallel else min(lanes, 1))
        started = clock()
        if len(tokens):
            self._line.add(job)
            timeout = None if budget.due is None else min(max(0.0, budget.due - clock()), threading.TIMEOUT_MAX)
            if not job.over.wait(timeout):
                budget.expired = True
                budget.cancellation.cancel()
                self._line.leave(job)
                job.over.wait()
        if job.error is not None:
            raise job.error
        return RunLog(sorted(job.done), job.model_s, max(job.lanes, 1), clock() - started)

    def close(self) -> None:
        """Waits for runs in progress: a session must not go while one of its runs is on."""
        self._close()


@dataclass(slots=True)
class _Job:
    """One stage's micro-batches in one request. Everything but ``run`` belongs to the line's lock."""

    session: Session
    tokens: Sequence[int]
    run_one: RunOne
    cost: Cost
    budget: Budget
    lanes: int
    taken: int = 0
    active: int = 0
    done: list[int] = field(default_factory=list)
    model_s: float = 0.0
    error: BaseException | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def run(self, batch: int) -> float | BaseException | None:
        """Seconds inside the model; None when the request's own switch ended the run, or there was no memory for it."""
        try:
            with self.session.lease() as runner:
                seconds = self.run_one(batch, runner, self.budget.cancellation.options())
        except Cancelled:
            return None
        except OutOfMemory:
            self.budget.out_of_memory = True
            return None
        except BaseException as error:  # noqa: BLE001  it is raised again where the request waits
            return error
        self.cost.observe(self.tokens[batch], seconds)
        return seconds


class _Line:
    """Jobs in line and the threads that serve them."""

    def __init__(self, size: int) -> None:
        self._changed = threading.Condition()
        self._jobs: list[tuple[float, int, _Job]] = []  # sorted; the number keeps equals in order of arrival
        self._number = count()
        self._free = size
        self._size = size
        self._idle = 0
        self._held: set[int] = set()  # sessions in use that cannot run side by side
        self._closed = False
        self._threads: list[threading.Thread] = []

    def add(self, job: _Job) -> None:
        with self._changed:
            if self._closed:
                raise CascadeError("this cascade was closed; make a new one")
            insort(self._jobs, (job.budget.order, next(self._number), job))
            wanted = job.lanes - self._idle
            while wanted > 0 and len(self._threads) < self._size:
                thread = threading.Thread(target=self._work, name=f"cascaderank-run_{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
                wanted -= 1
            self._changed.notify(job.lanes)

    def leave(self, job: _Job) -> None:
        """Take no more of this job; it is over when its runs in progress are."""
        with self._changed:
            self._end(job)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            for _, _, job in list(self._jobs):
                job.error = job.error or CascadeError("this cascade was closed while a request was under way")
                self._end(job)
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _work(self) -> None:
        job: _Job | None = None
        batch, result = 0, None
        while True:
            with self._changed:
                if job is not None:
                    self._record(job, batch, result)
                while (picked := self._pick()) is None:
                    if self._closed:
                        return
                    job = result = None  # nothing of a request stays here while nothing is to be done
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                job, batch = picked
            result = job.run(batch)

    def _pick(self) -> tuple[_Job, int] | None:
        """The next micro-batch of whoever is due first and can be served."""
        for _, _, job in tuple(self._jobs):
            if job.error is not None or job.budget.cancellation.cancelled:
                self._end(job)
                continue
            if job.active >= job.lanes or id(job.session) in self._held:
                continue
            if job.session.threads > self._free < self._size:
                return None  # those behind must not take what it waits for
            if not job.budget.allows(job.cost.estimate(job.tokens[job.taken])):
                self._end(job)
                continue
            batch = job.taken
            job.taken += 1
            job.active += 1
            self._free -= job.session.threads
            if not job.session.parallel:
                self._held.add(id(job.session))
            if job.taken == len(job.tokens):
                self._remove(job)
            return job, batch
        return None

    def _record(self, job: _Job, batch: int, result: float | BaseException | None) -> None:
        job.active -= 1
        self._free += job.session.threads
        self._held.discard(id(job.session))
        if isinstance(result, float):
            job.model_s += result
            job.budget.served_s += result / job.lanes
            job.done.append(batch)
        else:
            job.error = job.error or result
            self._remove(job)
            job.taken = len(job.tokens)
        if job.active == 0 and job.taken == len(job.tokens):
            job.over.set()
        if self._idle and self._jobs:
            self._changed.notify()

    def _end(self, job: _Job) -> None:
        self._remove(job)
        job.taken = len(job.tokens)
        if job.active == 0:
            job.over.set()

    def _remove(self, job: _Job) -> None:
        self._jobs = [entry for entry in self._jobs if entry[2] is not job]


def available_cores() -> int:
    """Cores this process may use (its affinity mask where the system has one)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
