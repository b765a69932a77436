"""Who gets the next thread, and what becomes of those that have none."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from cascaderank.errors import CascadeError
from cascaderank.request_threads import RequestThreads


@pytest.fixture
def threads() -> Iterator[RequestThreads]:
    made = RequestThreads(1)
    yield made
    made.close()


def hold(threads: RequestThreads) -> threading.Event:
    free, begun = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        free.wait(30)

    threads.submit(0.0, wait)
    assert begun.wait(10)
    return free


def test_who_is_due_first_gets_the_next_thread(threads: RequestThreads) -> None:
    free, served = hold(threads), list[str]()
    waiting = [
        threads.submit(order, served.append, name)
        for name, order in (("late", 30.0), ("soon", 10.0), ("next", 20.0), ("after next", 20.0))
    ]
    free.set()
    for future in waiting:
        future.result(10)
    assert served == ["soon", "next", "after next", "late"]


def test_results_and_errors_come_back(threads: RequestThreads) -> None:
    assert threads.submit(1.0, divmod, 7, 2).result(10) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        threads.submit(1.0, divmod, 7, 0).result(10)
    assert threads.submit(1.0, divmod, 9, 2).result(10) == (4, 1)


def test_who_is_cancelled_in_line_is_never_called(threads: RequestThreads) -> None:
    free, served = hold(threads), list[str]()
    gone, here = threads.submit(1.0, served.append, "gone"), threads.submit(2.0, served.append, "here")
    assert gone.cancel()
    free.set()
    here.result(10)
    assert served == ["here"]


def test_who_is_cancelled_in_line_leaves_nothing_behind(threads: RequestThreads) -> None:
    class Big:
        pass

    free, big = hold(threads), Big()
    seen = weakref.ref(big)
    future = threads.submit(1.0, str, big)
    del big
    assert future.cancel()
    del future
    gc.collect()
    assert seen() is None  # though the one thread is still busy
    free.set()


def test_who_is_in_a_hurry_does_not_wait_for_those_who_are_not() -> None:
    """Also where others who wait come before it: they have time, and there is only so much room for the hurried."""
    threads, before = RequestThreads(1, most=2), threading.active_count()
    free, served = hold(threads), list[str]()
    patient = threads.submit(1.0, served.append, "patient")
    threads.submit(2.0, served.append, "hurried", hurry=True).result(10)
    assert served == ["hurried"]

    begun, go = threading.Event(), threading.Event()
    holding = threads.submit(2.0, lambda: (begun.set(), go.wait(10)), hurry=True)
    assert begun.wait(10)
    beyond = threads.submit(2.0, served.append, "beyond", hurry=True)
    time.sleep(0.05)
    assert not beyond.done()
    go.set()
    holding.result(10)
    beyond.result(10)  # by the thread that has become free, though another one comes before it
    assert served == ["hurried", "beyond"]
    free.set()
    patient.result(10)
    assert served == ["hurried", "beyond", "patient"]
    for _ in range(3):
        threads.submit(1.0, int).result(10)
    assert threading.active_count() <= before + 1  # the one more is gone
    threads.close()
    assert threading.active_count() == before


def test_requests_at_once_have_a_thread_each() -> None:
    threads, together = RequestThreads(4), threading.Barrier(4, timeout=10)
    for future in [threads.submit(1.0, together.wait) for _ in range(4)]:
        future.result(10)
    threads.close()


def test_threads_are_used_again() -> None:
    threads, before = RequestThreads(4), threading.active_count()
    for _ in range(20):
        threads.submit(1.0, int).result(10)
        threads.submit(1.0, int).result(10)
    assert threading.active_count() <= before + 2
    threads.close()
    assert threading.active_count() == before


def test_closing_cancels_those_in_line_and_refuses_new_ones(threads: RequestThreads) -> None:
    free = hold(threads)
    waiting = threads.submit(1.0, int)
    closer = threading.Thread(target=threads.close)
    closer.start()
    while not waiting.cancelled():
        pass
    free.set()
    closer.join(10)
    with pytest.raises(CascadeError, match="was closed"):
        threads.submit(1.0, int)


def test_nothing_of_a_request_stays_in_its_thread(threads: RequestThreads) -> None:
    class Big:
        pass

    big = Big()
    seen = weakref.ref(big)
    future = threads.submit(1.0, lambda one: len(str(one)), big)
    future.result(10)
    del big, future
    threads.submit(1.0, int).result(10)
    gc.collect()
    assert seen() is None


def test_threads_go_when_nobody_holds_them_any_more() -> None:
    before = threading.active_count()
    threads = RequestThreads(2)
    threads.submit(1.0, int).result(10)
    del threads
    assert threading.active_count() == before


def test_a_call_without_a_thread_is_an_error_and_later_ones_are_served(no_threads: pytest.MonkeyPatch) -> None:
    threads, called = RequestThreads(1), list[str]()
    with pytest.raises(CascadeError, match=r"cannot start a thread \(can't start new thread\).*pids limit"):
        threads.submit(1.0, called.append, "refused")
    no_threads.undo()
    threads.submit(1.0, called.append, "served").result(10)
    assert called == ["served"]
    threads.close()
