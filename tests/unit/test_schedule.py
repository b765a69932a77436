"""One set of threads for everybody: whose micro-batch comes next, and how many at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from cascaderank.cost import Cost
from cascaderank.errors import CascadeError
from cascaderank.job import Budget, clock
from cascaderank.schedule import RunLog, Workers


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


@dataclass
class Batches:
    """Micro-batches of one token each that call ``work``; those that share call it for each of a run, too."""

    count: int
    work: Callable[[int], None]
    shares: bool = False
    runs: list[int] = field(default_factory=list)
    room: int = 128

    @property
    def tokens(self) -> list[int]:
        return [1] * self.count

    def run(self, batch: int, runner: Any, options: Any) -> float:
        self.runs.append(1)
        self.work(batch)
        return 0.001

    def together(self, members: Sequence[tuple[Batches, int]]) -> int:
        return len(members) if len(members) <= self.room else 0

    def run_together(
        self, members: Sequence[tuple[Batches, int]], runner: Any, options: Any
    ) -> list[float | BaseException]:
        self.runs.append(len(members))
        found: list[float | BaseException] = []
        for member, batch in members:
            try:
                member.work(batch)
                found.append(0.001 / len(members))
            except ValueError as error:
                found.append(error)
        return found


def start(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def busy(workers: Workers) -> tuple[threading.Event, threading.Thread]:
    """Holds every worker until the event is set, ahead of everybody."""
    free, held = threading.Event(), threading.Semaphore(0)

    def hold(_: int) -> None:
        held.release()
        free.wait(10)

    thread = start(lambda: run(workers, Recorder(), workers.size, hold, budget=Budget(order=0.0)))
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
    budget = more.pop("budget", None) or Budget()
    return workers.run(session, Batches(batches, work), Cost(), budget, **more)  # type: ignore[arg-type]


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


def test_who_is_cancelled_leaves_wherever_he_stands(workers: Workers) -> None:
    """Those before him have enough to do for the workers never to come to him; he need not wait for that."""
    free, holder = busy(workers)
    go, served, budget = threading.Event(), threading.Semaphore(0), Budget(order=20.0)

    def step(_: int) -> None:
        served.release()
        go.wait(0.01)

    long = start(lambda: run(workers, Recorder(), 3000, step, budget=Budget(order=10.0)))
    waiting(workers, 1)
    gone = start(lambda: run(workers, Recorder(), 5, lambda _: None, budget=budget))
    waiting(workers, 2)
    free.set()
    assert served.acquire(timeout=10)
    budget.cancellation.cancel()
    gone.join(5)
    assert not gone.is_alive()
    assert long.is_alive()
    go.set()
    for thread in (holder, long):
        thread.join(20)


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


class Shared:
    """Several requests of one session while another run of it is on, so that all of them wait in line."""

    def __init__(self, workers: Workers, session: Recorder) -> None:
        self.workers, self.session, self.runs = workers, session, list[int]()
        self.threads: list[threading.Thread] = []
        self.logs: dict[str, RunLog | BaseException] = {}
        self.free, begun = threading.Event(), threading.Event()

        def hold(_: int) -> None:
            begun.set()
            self.free.wait(10)

        self.request("holder", hold, count=1, order=0.0, shares=False)
        assert begun.wait(10)

    def request(
        self,
        name: str,
        work: Callable[[int], None],
        count: int = 1,
        order: float = 1.0,
        shares: bool = True,
        budget: Budget | None = None,
        cost: Cost | None = None,
        room: int = 128,
    ) -> Budget:
        budget = budget or Budget(order=order)
        batches = Batches(count, work, shares, self.runs, room)

        def call() -> None:
            try:
                self.logs[name] = self.workers.run(self.session, batches, cost or Cost(), budget)  # type: ignore[arg-type]
            except ValueError as error:
                self.logs[name] = error

        self.threads.append(start(call))
        waiting(self.workers, len(self.threads) - 1)
        return budget

    def finish(self) -> None:
        self.free.set()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()

    def log(self, name: str) -> RunLog:
        found = self.logs[name]
        assert isinstance(found, RunLog), found
        return found


@pytest.fixture
def shared(workers: Workers) -> Iterator[Shared]:
    made = Shared(workers, Recorder(parallel=False))
    yield made
    made.finish()


def test_micro_batches_of_requests_that_wait_for_one_session_share_a_run(shared: Shared) -> None:
    seen: list[str] = []
    for name in "abc":
        shared.request(name, lambda _, name=name: seen.append(name))  # type: ignore[misc]
    shared.request("alone", lambda _: seen.append("alone"), shares=False)
    shared.finish()
    assert shared.runs == [1, 3, 1]
    assert seen == ["a", "b", "c", "alone"]
    assert [shared.log(name).shared for name in ("a", "b", "c", "alone")] == [1, 1, 1, 0]
    assert shared.log("a").model_s == pytest.approx(0.001 / 3)


def test_a_shared_run_holds_no_more_than_fits(shared: Shared) -> None:
    for name in "abcde":
        shared.request(name, lambda _: None, room=2)
    shared.finish()
    assert shared.runs == [1, 2, 2, 1]


def test_an_idle_worker_is_better_than_a_longer_run(workers: Workers) -> None:
    """Where runs go side by side, two requests have a worker each: either one's run waits for the other's."""
    session, both = Recorder(), threading.Barrier(2, timeout=10)
    batches = [Batches(1, lambda _: both.wait() and None, shares=True) for _ in range(2)]
    threads = [start(lambda one=one: workers.run(session, one, Cost(), Budget())) for one in batches]  # type: ignore[misc,arg-type]
    for thread in threads:
        thread.join(10)
    assert [one.runs for one in batches] == [[1], [1]]


def test_busy_workers_share_what_waits(workers: Workers) -> None:
    free, holder = busy(workers)
    session, runs = Recorder(), list[int]()
    threads = []
    for _ in range(4):
        one = Batches(1, lambda _: None, True, runs)
        threads.append(start(lambda one=one: workers.run(session, one, Cost(), Budget(order=1.0))))  # type: ignore[misc,arg-type]
        waiting(workers, len(threads))
    free.set()
    for thread in [holder, *threads]:
        thread.join(10)
    assert sum(runs) == 4
    assert len(runs) < 4


def test_nobody_joins_a_run_that_takes_longer_than_he_has(shared: Shared) -> None:
    cost = Cost()
    cost.observe(1, 10.0)  # seconds a token
    hurried = Budget(due=clock() + 15.0, order=1.0)
    shared.request("hurried", lambda _: None, budget=hurried, cost=cost)
    shared.request("patient", lambda _: None, order=2.0, cost=cost)
    shared.finish()
    assert shared.runs == [1, 1, 1]
    assert not hurried.expired


def test_an_error_of_one_member_is_its_own(shared: Shared) -> None:
    def fail(_: int) -> None:
        raise ValueError("mine")

    shared.request("good", lambda _: None)
    shared.request("bad", fail)
    shared.finish()
    assert shared.runs == [1, 2]
    assert shared.log("good").done == [0]
    assert str(shared.logs["bad"]) == "mine"


def test_a_shared_run_that_fails_is_run_again_one_by_one(shared: Shared) -> None:
    """A request whose rows break the model breaks no other."""
    tries: list[str] = []

    def work(name: str) -> Callable[[int], None]:
        def inside(_: int) -> None:
            tries.append(name)
            if name == "bad":
                raise RuntimeError("broken") if tries.count("bad") == 1 else ValueError("broken again")

        return inside

    for name in ("good", "bad"):
        shared.request(name, work(name))
    shared.finish()
    assert shared.runs == [1, 2, 1, 1]
    assert shared.log("good").done == [0]
    assert str(shared.logs["bad"]) == "broken again"


def test_who_is_cancelled_joins_nobody(shared: Shared) -> None:
    gone = shared.request("gone", lambda _: None)
    shared.request("here", lambda _: None)
    gone.cancellation.cancel()
    shared.finish()
    assert shared.runs == [1, 1]
    assert shared.log("gone").done == []
    assert shared.log("here").done == [0]


def test_a_request_without_a_worker_is_an_error_and_later_ones_are_served(no_threads: pytest.MonkeyPatch) -> None:
    workers = Workers(1)
    with pytest.raises(CascadeError, match=r"cannot start a thread \(can't start new thread\).*pids limit"):
        run(workers, Recorder(), 3, lambda _: None)
    no_threads.undo()
    seen: list[int] = []
    assert run(workers, Recorder(), 3, seen.append).done == [0, 1, 2] == seen  # its own, nothing of the one before
    workers.close()


def test_fewer_workers_than_wanted_serve_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, started, start = Workers(2), list[threading.Thread](), threading.Thread.start

    def only_one(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        start(thread)
        started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", only_one)
    assert run(workers, Recorder(), 5, lambda _: None).done == list(range(5))
    monkeypatch.undo()
    assert run(workers, Recorder(), 5, lambda _: None).done == list(range(5))
    workers.close()
    assert not started[0].is_alive()
