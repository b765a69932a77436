"""One set of threads for everybody: whose micro-batch comes next, and how many at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from cascaderank.cost import Cost
from cascaderank.errors import CascadeError
from cascaderank.schedule import Budget, RunLog, Workers, clock


@dataclass(eq=False)
class Recorder:
    """Stands where a session does: counts who is inside."""

    parallel: bool = True
    threads: int = 1
    inside: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def lease(self) -> Iterator[Any]:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        try:
            yield self
        finally:
            with self.lock:
                self.inside -= 1


def start(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def busy(workers: Workers) -> tuple[threading.Event, threading.Thread]:
    """Holds every worker until the event is set, ahead of everybody."""
    free, held = threading.Event(), threading.Semaphore(0)

    def hold(batch: int, runner: Any, options: Any) -> float:
        held.release()
        free.wait(10)
        return 0.001

    thread = start(lambda: workers.run(Recorder(), [1] * workers.size, hold, Cost(), Budget(order=0.0)))  # type: ignore[arg-type]
    for _ in range(workers.size):
        assert held.acquire(timeout=10)
    return free, thread


def waiting(workers: Workers, count: int) -> None:
    while len(workers._line._jobs) < count:
        time.sleep(0.001)


@pytest.fixture
def workers() -> Iterator[Workers]:
    made = Workers(2)
    yield made
    made.close()


def run(workers: Workers, session: Recorder, batches: int, work: Callable[[int], None], **more: Any) -> RunLog:
    def run_one(batch: int, runner: Any, options: Any) -> float:
        work(batch)
        return 0.001

    budget = more.pop("budget", None) or Budget()
    return workers.run(session, [1] * batches, run_one, Cost(), budget, **more)  # type: ignore[arg-type]


def test_every_micro_batch_runs_once(workers: Workers) -> None:
    seen: list[int] = []
    log = run(workers, Recorder(), 100, seen.append)
    assert sorted(seen) == log.done == list(range(100))
    assert log.model_s == pytest.approx(0.1)
    assert run(workers, Recorder(), 0, seen.append).done == []


def test_who_is_due_first_is_served_first(workers: Workers) -> None:
    """Three requests wait while the workers are held; they are served by their order, not by their arrival."""
    free, holder = busy(workers)
    served: list[str] = []

    def request(name: str, order: float) -> threading.Thread:
        budget = Budget(order=order)
        return start(lambda: run(workers, Recorder(), 2, lambda _: served.append(name), budget=budget))

    threads = []
    for name, order in (("late", 30.0), ("soon", 10.0), ("never", float("inf")), ("next", 20.0)):
        threads.append(request(name, order))
        waiting(workers, len(threads))
    free.set()
    for thread in [holder, *threads]:
        thread.join(10)
    assert served == ["soon", "soon", "next", "next", "late", "late", "never", "never"]


def test_a_short_request_passes_a_long_one_that_is_under_way(workers: Workers) -> None:
    """Not only the line is ordered: a long request gives way between two of its micro-batches."""
    begun, done_of_long = threading.Event(), []

    def long_work(batch: int) -> None:
        begun.set()
        time.sleep(0.005)
        done_of_long.append(batch)

    long = start(lambda: run(workers, Recorder(), 200, long_work, budget=Budget(order=100.0)))
    assert begun.wait(10)
    run(workers, Recorder(), 4, lambda _: None, budget=Budget(order=1.0))
    passed = len(done_of_long)
    long.join(10)
    assert passed < 100
    assert len(done_of_long) == 200


def test_a_session_that_cannot_run_side_by_side_has_one_worker(workers: Workers) -> None:
    alone = Recorder(parallel=False)
    threads = [start(lambda: run(workers, alone, 20, lambda _: time.sleep(0.001))) for _ in range(3)]
    for thread in threads:
        thread.join(10)
    assert alone.most == 1


def test_a_held_session_does_not_keep_others_waiting(workers: Workers) -> None:
    alone, free = Recorder(parallel=False), threading.Event()
    holder = start(lambda: run(workers, alone, 1, lambda _: free.wait(10), budget=Budget(order=0.0)))
    second = start(lambda: run(workers, alone, 1, lambda _: None, budget=Budget(order=1.0)))
    waiting(workers, 1)
    assert run(workers, Recorder(), 3, lambda _: None, budget=Budget(order=2.0)).done == [0, 1, 2]
    free.set()
    for thread in (holder, second):
        thread.join(10)
    assert alone.most == 1


def test_runs_with_threads_of_their_own_count_as_that_many(workers: Workers) -> None:
    """Two requests at once, one of them with two threads a run: never more than two at work."""
    working, most, lock = [0], [0], threading.Lock()

    def work(threads: int) -> Callable[[int], None]:
        def inside(_: int) -> None:
            with lock:
                working[0] += threads
                most[0] = max(most[0], working[0])
            time.sleep(0.001)
            with lock:
                working[0] -= threads

        return inside

    wide, narrow = Recorder(threads=2), Recorder()

    def request(session: Recorder) -> threading.Thread:
        return start(lambda: run(workers, session, 30, work(session.threads)))

    requests = [request(session) for session in (wide, narrow, wide, narrow)]
    for thread in requests:
        thread.join(20)
    assert most[0] == 2
    assert wide.most == 1
    assert narrow.most == 2


def test_lanes_bound_the_runs_side_by_side(workers: Workers) -> None:
    session = Recorder()
    run(workers, session, 30, lambda _: time.sleep(0.001), lanes=1)
    assert session.most == 1


def test_an_error_ends_the_request_and_no_other(workers: Workers) -> None:
    def fail(batch: int) -> None:
        time.sleep(0.001)
        if batch == 3:
            raise ValueError("batch 3")

    other: list[RunLog] = []
    thread = start(lambda: other.append(run(workers, Recorder(), 50, lambda _: time.sleep(0.001))))
    with pytest.raises(ValueError, match="batch 3"):
        run(workers, Recorder(), 1000, fail)
    thread.join(10)
    assert len(other[0].done) == 50


def test_a_request_waiting_in_line_leaves_at_its_deadline(workers: Workers) -> None:
    free, holder = busy(workers)
    started = clock()
    budget = Budget(due=started + 0.05, order=started + 0.05)
    log = run(workers, Recorder(), 5, lambda _: None, budget=budget)
    took = clock() - started
    free.set()
    holder.join(10)
    assert log.done == []
    assert budget.expired
    assert 0.05 <= took < 1.0


def test_closing_ends_those_in_line_and_refuses_new_ones() -> None:
    workers = Workers(1)
    free, holder = busy(workers)
    found: list[BaseException] = []

    def attempt() -> None:
        try:
            run(workers, Recorder(), 3, lambda _: None)
        except CascadeError as error:
            found.append(error)

    waiter = start(attempt)
    waiting(workers, 1)
    closer = start(workers.close)
    waiter.join(10)
    free.set()
    for thread in (closer, holder):
        thread.join(10)
    assert "closed while a request was under way" in str(found[0])
    with pytest.raises(CascadeError, match="was closed"):
        run(workers, Recorder(), 1, lambda _: None)


def test_threads_go_when_nobody_holds_the_workers_any_more() -> None:
    before = threading.active_count()
    workers = Workers(2)
    run(workers, Recorder(), 10, lambda _: time.sleep(0.001))
    assert threading.active_count() == before + 2
    del workers
    assert threading.active_count() == before
