"""Whose turn it is, what lies before a request, and when there are too many."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from cascaderank import Cascade, CascadeConfig, CascadeError, OverloadedError, Stage
from cascaderank.admission import Admission
from cascaderank.interpreter import quick_switching
from cascaderank.job import Budget, clock
from ranking import QUERY, TEXTS, random_texts


def test_places_go_by_deadline_and_else_by_arrival_and_size() -> None:
    line = Admission()
    long, short, urgent = Budget(), Budget(), Budget(due=clock() + 0.02)
    with line.admit(long, 2.0) as first, line.admit(short, 0.01) as second, line.admit(urgent, 0.005) as third:
        assert urgent.order < short.order < long.order
        assert third.ahead() == 0.0
        assert second.ahead() == pytest.approx(0.005)
        assert first.ahead() == pytest.approx(0.015)
        urgent.served_s += 0.002
        assert second.ahead() == pytest.approx(0.003)
        third.plan(0.001)
        assert second.ahead() == pytest.approx(0.001)


def test_who_came_first_is_not_overtaken_for_ever() -> None:
    """A long request's place does not move; those that come after its turn are behind it, however short."""
    line = Admission()
    long = Budget()
    with line.admit(long, 0.001):
        time.sleep(0.06)
        later = Budget()
        with line.admit(later, 0.0001):
            assert long.order < later.order


def test_no_more_than_max_requests() -> None:
    line = Admission(2)
    with line.place(), line.place(), line.admit(Budget(), 0.4), line.admit(Budget(), 0.2):
        with pytest.raises(OverloadedError, match="2 requests are under way") as refused, line.place():
            pass
        assert refused.value.retry_after_s == pytest.approx(0.3)
        assert line.under_way == 2
    assert line.under_way == 0
    with line.place():
        assert line.under_way == 1


def test_a_deadline_that_others_have_used_up_is_refused_at_once() -> None:
    line = Admission(10)
    now = clock()
    with line.admit(Budget(due=now + 0.5), 2.0):
        with pytest.raises(OverloadedError, match="leaves nothing before this one's deadline") as refused:
            line.admit(Budget(due=now + 1.0), 0.1).__enter__()
        assert refused.value.retry_after_s == pytest.approx(1.0, abs=0.2)
        with line.admit(Budget(due=now + 0.4), 0.1):  # goes before the other
            pass


def test_a_full_cascade_refuses_and_then_serves_again(slow: Path) -> None:
    with Cascade([Stage(slow, keep=5)], workers=1) as one:
        config = one.config
    with Cascade(replace(config, max_requests=1)) as cascade, ThreadPoolExecutor(1) as other:
        long = other.submit(cascade.rank, QUERY, random_texts(60))
        while cascade.under_way == 0:
            time.sleep(0.001)
        with pytest.raises(OverloadedError, match="max_requests") as refused:
            cascade.rank(QUERY, TEXTS)
        assert refused.value.retry_after_s >= 0.0
        assert len(long.result()) == 60
        assert len(cascade.rank(QUERY, TEXTS)) == 7
        assert cascade.under_way == 0


def test_tasks_beyond_max_requests_are_refused_at_once_however_few_threads_there_are(slow: Path) -> None:
    """60 tasks of seconds each are more than the threads that serve them: 20 are refused while the others wait, and
    whoever is cancelled, waiting or under way, leaves his place."""

    async def many(cascade: Cascade) -> list[BaseException | None]:
        texts = random_texts(1000)
        tasks = [asyncio.create_task(cascade.arank(QUERY, texts)) for _ in range(60)]
        await asyncio.sleep(0)
        assert cascade.under_way == 40
        refused = [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return refused

    with Cascade(CascadeConfig((Stage(slow, keep=5),), workers=1, max_requests=40)) as cascade:
        refused = asyncio.run(many(cascade))
        assert len(refused) == 20
        assert all(isinstance(error, OverloadedError) for error in refused)
        deadline = time.perf_counter() + 20
        while cascade.under_way and time.perf_counter() < deadline:
            time.sleep(0.01)
        assert cascade.under_way == 0
        assert len(cascade.rank(QUERY, TEXTS)) == 7


def test_a_deadline_is_kept_while_every_thread_has_a_request_that_has_none(slow: Path) -> None:
    """40 requests of seconds each hold the threads for requests; one in a hurry is answered all the same."""

    async def many(cascade: Cascade) -> tuple[float, bool]:
        texts = random_texts(5000)
        others = [asyncio.create_task(cascade.arank(QUERY, texts)) for _ in range(40)]
        await asyncio.sleep(0.5)
        begun = time.perf_counter()
        ranking = await cascade.arank(QUERY, random_texts(40), deadline_ms=300)
        took = time.perf_counter() - begun
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return took, len(ranking) == 40

    with Cascade([Stage(slow, keep=5)], workers=1) as cascade:
        cascade.warm_up()
        took, whole = asyncio.run(many(cascade))
    assert whole
    assert took < 1.0


def test_who_is_cancelled_is_not_waited_for() -> None:
    line, gone = Admission(1), Budget()
    with line.admit(gone, 10.0) as flight:
        assert flight.remaining == 10.0
        gone.cancellation.cancel()
        assert flight.remaining == 0.0
        with line.admit(Budget(clock() + 1.0), 0.5):  # those 10 s would have left nothing before this deadline
            pass


def test_the_switch_interval_is_put_back_however_requests_overlap() -> None:
    before = sys.getswitchinterval()
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with quick_switching(0.0002):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    with quick_switching(0.001):
        assert sys.getswitchinterval() == pytest.approx(0.001)
        thread.start()
        assert inside.wait(10)
        assert sys.getswitchinterval() == pytest.approx(0.0002)
    assert sys.getswitchinterval() == pytest.approx(0.0002)
    leave.set()
    thread.join(10)
    assert sys.getswitchinterval() == pytest.approx(before)
    with quick_switching(0.0):
        assert sys.getswitchinterval() == pytest.approx(before)
    with quick_switching(10.0):
        assert sys.getswitchinterval() == pytest.approx(before)


def test_arank_gives_its_place_back_whatever_happens(models: Path, no_threads: pytest.MonkeyPatch) -> None:
    class Unsized(list[str]):
        def __len__(self) -> int:
            raise ValueError("no length")

    with Cascade([Stage(models / "ce", keep=2)]) as cascade:
        with pytest.raises(CascadeError, match=r"cannot start a thread \(can't start new thread\).*pids limit"):
            asyncio.run(cascade.arank("red", ["red"]))
        assert cascade.under_way == 0
        no_threads.undo()
        with pytest.raises(ValueError, match="no length"):
            asyncio.run(cascade.arank("red", Unsized()))
        assert cascade.under_way == 0
        assert asyncio.run(cascade.arank("red", ["red"]))[0].score == 1.0
        assert cascade.under_way == 0
