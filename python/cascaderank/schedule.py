"""Runs the micro-batches of all requests on one set of threads: earliest due first, never past the deadline."""

from __future__ import annotations

import threading
import weakref
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from cascaderank.cost import Cost
from cascaderank.errors import CascadeError
from cascaderank.job import Budget, Job, MicroBatches, Result, clock, run_taken
from cascaderank.session import Session
from cascaderank.threads import available_cores, start_thread


@dataclass(slots=True)
class RunLog:
    """``done`` lists the completed micro-batches, ``shared`` counts those that ran together with other requests';
    ``model_s`` is the time inside the model of all workers together (of a shared run this request's part by size),
    ``lanes`` how many could work at once, ``wall_s`` the time until the last one finished."""

    done: list[int]
    model_s: float
    lanes: int
    wall_s: float
    shared: int = 0


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

    def run(self, session: Session, work: MicroBatches, cost: Cost, budget: Budget, lanes: int | None = None) -> RunLog:
        """Run every micro-batch of ``work``, in order, over at most ``lanes`` workers (as many as there is room for by
        default).

        Stops taking new ones when the next would be late; one that overruns all the same is terminated at the deadline
        (a run that is shared, once nobody waits for it). Raises the first error of a run.
        """
        count = len(work.tokens)
        lanes = min(lanes or self.size, max(self.size // session.threads, 1), count)
        job = Job(session, work, cost, budget, lanes if session.parallel else min(lanes, 1))
        started = clock()
        if count:
            self._line.add(job)
            timeout = None if budget.due is None else min(max(0.0, budget.due - clock()), threading.TIMEOUT_MAX)
            if not job.over.wait(timeout):
                budget.expired = True
                budget.cancellation.cancel()
                self._line.leave(job)
                job.over.wait()
        if job.error is not None:
            raise job.error
        return RunLog(sorted(job.done), job.model_s, max(job.lanes, 1), clock() - started, job.shared)

    def close(self) -> None:
        """Waits for runs in progress: a session must not go while one of its runs is on."""
        self._close()


class _Line:
    """Jobs in line and the threads that serve them."""

    def __init__(self, size: int) -> None:
        self._changed = threading.Condition()
        self._jobs: list[tuple[float, int, Job]] = []  # sorted; the number keeps equals in order of arrival
        self._number = count()
        self._free = size
        self._size = size
        self._idle = 0
        self._held: set[int] = set()  # sessions in use that cannot run side by side
        self._closed = False
        self._threads: list[threading.Thread] = []

    def add(self, job: Job) -> None:
        with self._changed:
            if self._closed:
                raise CascadeError("this cascade was closed; make a new one")
            wanted = job.lanes - self._idle
            while wanted > 0 and len(self._threads) < self._size:
                try:
                    thread = start_thread(self._work, f"cascaderank-run_{len(self._threads)}")
                except CascadeError:
                    if self._threads:  # those serve it, and the next job tries again
                        break
                    raise
                self._threads.append(thread)
                wanted -= 1
            insort(self._jobs, (job.budget.order, next(self._number), job))
            self._changed.notify(job.lanes)

    def leave(self, job: Job) -> None:
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
        taken: list[tuple[Job, int]] = []
        results: list[Result] = []
        while True:
            with self._changed:
                if taken:
                    self._record(taken, results)
                while (picked := self._pick()) is None:
                    if self._closed:
                        return
                    taken, results = [], []  # nothing of a request stays here while nothing is to be done
                    self._idle += 1
                    self._changed.wait()
                    self._idle -= 1
                taken, tokens = picked
            results = run_taken(taken, tokens)

    def _pick(self) -> tuple[list[tuple[Job, int]], int] | None:
        """The next micro-batch of whoever is due first and can be served, with others' that fit into its run; and the
        tokens of all."""
        for job in [job for _, _, job in self._jobs if job.error is not None or job.budget.cancellation.cancelled]:
            self._end(job)  # wherever it stands: somebody waits for its end
        for place, (_, _, job) in enumerate(waiting := tuple(self._jobs)):
            if job.active >= job.lanes or id(job.session) in self._held:
                continue
            if job.session.threads > self._free < self._size:
                return None  # those behind must not take what it waits for
            if not job.budget.allows(job.cost.estimate(job.work.tokens[job.taken])):
                self._end(job)
                continue
            self._free -= job.session.threads
            if not job.session.parallel:
                self._held.add(id(job.session))
            taken = [(job, self._take(job))]
            tokens = job.work.tokens[taken[0][1]]
            if job.work.shares and (not job.session.parallel or self._free < job.session.threads):
                tokens = self._fill(taken, tokens, [entry[2] for entry in waiting[place + 1 :]])
            return taken, tokens
        return None

    def _fill(self, taken: list[tuple[Job, int]], tokens: int, others: Sequence[Job]) -> int:
        """Add micro-batches of ``others`` that nobody else could serve now to a run, as long as all its requests have
        the time for it."""
        first = taken[0][0]
        for other in others:
            if other.session is not first.session or not other.work.shares or other.budget.cancellation.cancelled:
                continue
            members = [(job.work, batch) for job, batch in taken]
            while other.left and other.error is None:
                members.append((other.work, other.taken))
                larger = first.work.together(members)
                seconds = first.cost.estimate(larger)
                everybody = [other, *(job for job, _ in taken)]
                if not larger or not all(job.budget.has_room(seconds) for job in everybody):
                    break
                tokens = larger
                taken.append((other, self._take(other)))
        return tokens

    def _take(self, job: Job) -> int:
        batch = job.taken
        job.taken += 1
        job.active += 1
        if not job.left:
            self._remove(job)
        return batch

    def _record(self, taken: Sequence[tuple[Job, int]], results: Sequence[Result]) -> None:
        session = taken[0][0].session
        self._free += session.threads
        self._held.discard(id(session))
        for (job, batch), result in zip(taken, results, strict=True):
            job.active -= 1
            if isinstance(result, float):
                job.model_s += result
                job.budget.served_s += result / job.lanes
                job.done.append(batch)
                job.shared += len(taken) > 1
            else:
                job.error = job.error or result
                self._remove(job)
                job.taken = len(job.work.tokens)
            if job.active == 0 and not job.left:
                job.over.set()
        if self._idle and self._jobs:
            self._changed.notify()

    def _end(self, job: Job) -> None:
        self._remove(job)
        job.taken = len(job.work.tokens)
        if job.active == 0:
            job.over.set()

    def _remove(self, job: Job) -> None:
        self._jobs = [entry for entry in self._jobs if entry[2] is not job]
