"""One cascade, any number of threads; no global state; nothing is leaked over many requests."""

from __future__ import annotations

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Stage
from tiny import WORDS


def texts(count: int, seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS[:8], generator.integers(0, 10))) for _ in range(count)]


@pytest.fixture
def eager_switching() -> object:
    """Threads take turns a thousand times more often than usual, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield None
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switching")
def test_threads_see_their_own_request(models: Path) -> None:
    """Requests of many sizes at once, on pools that are reused, equal the same requests one by one."""
    requests = [(texts(1 + seed % 23, seed), [float(seed % 5)] * (1 + seed % 23)) for seed in range(60)]
    stages = [Stage(models / "bi", keep=12), Stage(models / "ce", keep=4)]
    with Cascade(stages, fusion="convex") as cascade:
        serial = [list(cascade.rank("red cat", some, scores=first)) for some, first in requests]
        with ThreadPoolExecutor(16) as threads:
            found = list(
                threads.map(
                    lambda number: list(
                        cascade.rank("red cat", *[requests[number % 60][0]], scores=requests[number % 60][1])
                    ),
                    range(600),
                )
            )
    assert all(found[number] == serial[number % 60] for number in range(600))


def test_cascades_share_no_state(models: Path) -> None:
    """Two cascades of the same folders and other settings, turn and turn about."""
    documents = texts(20, 3)
    one = Cascade([Stage(models / "bi", keep=12), Stage(models / "ce", keep=4)], fusion="convex")
    two = Cascade([Stage(models / "ce", keep=9), Stage(models / "bi", keep=2)], fusion="rrf")
    with one, two:
        first = [list(cascade.rank("red", documents)) for cascade in (one, two)]
        for _ in range(10):
            assert [list(cascade.rank("red", documents)) for cascade in (one, two)] == first
        one.close()
        assert list(two.rank("red", documents)) == first[1]


def resident_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc, which is not here")
def test_memory_threads_and_objects_do_not_grow(models: Path) -> None:
    """Three times 2000 requests of all kinds after 1000. A leak grows in every round, the allocator's pages in some:
    500 bytes kept of each request would show."""
    documents = texts(8, 1)
    store_documents = [{"id": str(index), "text": text} for index, text in enumerate(documents)]
    with Cascade([Stage(models / "bi", keep=6), Stage(models / "ce", keep=3)], fusion="convex") as cascade:
        store = cascade.encode(store_documents)
        names = [str(index) for index in range(8)]

        def some(count: int) -> None:
            for number in range(count):
                match number % 4:
                    case 0:
                        list(cascade.rank("red", documents))
                    case 1:
                        cascade.rank("red", ids=names, store=store, scores=[1.0] * 8)
                    case 2:
                        cascade.rank("red", documents, deadline_ms=0.001)
                    case _:
                        with pytest.raises(ValueError, match=r"documents\[1\]"):
                            cascade.rank("red", ["red", 5])

        seen = []
        for requests in (1000, 2000, 2000, 2000):
            some(requests)
            gc.collect()
            seen.append((resident_bytes(), threading.active_count(), len(gc.get_objects())))
    grown = [after - before for (before, *_), (after, *_) in pairwise(seen)]
    assert min(grown) < 1_000_000, grown
    assert seen[-1][1] == seen[0][1]
    assert seen[-1][2] - seen[0][2] < 200
