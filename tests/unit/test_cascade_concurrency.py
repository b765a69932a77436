"""Many queries, asyncio, threads, closing."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cascaderank import (
    Cascade,
    CascadeError,
    InputError,
    Ranking,
    Stage,
)
from ranking import QUERY, TEXTS, as_documents, random_texts, summary


def test_rank_batch_equals_rank(models: Path) -> None:
    queries = [QUERY, "dog", "fish blue", "one two three"] * 3
    documents = [random_texts(5 + number, seed=number) for number in range(len(queries))]
    scores = [np.linspace(0, 1, len(texts)).tolist() for texts in documents]
    with Cascade([Stage(models / "bi", keep=6), Stage(models / "ce", keep=3)], fusion="convex") as cascade:
        batch = cascade.rank_batch(queries, documents, scores=scores, top_n=4)
        single = [
            cascade.rank(query, texts, scores=first, top_n=4)
            for query, texts, first in zip(queries, documents, scores, strict=True)
        ]
        assert [summary(ranking) for ranking in batch] == [summary(ranking) for ranking in single]
        assert cascade.rank_batch([], []) == []


def test_rank_batch_by_ids(models: Path) -> None:
    with Cascade([Stage(models / "bi", keep=6)]) as cascade:
        store = cascade.encode(as_documents(TEXTS))
        batch = cascade.rank_batch([QUERY, "dog"], ids=[["d1", "d2"], ["d0"]], store=store)
    assert [sorted(hit.id for hit in ranking) for ranking in batch] == [["d1", "d2"], ["d0"]]


def test_rank_batch_names_the_query_of_an_error(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=6)]) as cascade:
        with pytest.raises(InputError, match=r"queries\[1\]: query: empty"):
            cascade.rank_batch([QUERY, "", "dog"], [TEXTS] * 3)
        with pytest.raises(InputError, match="2 entries for 1 queries"):
            cascade.rank_batch([QUERY], [TEXTS, TEXTS])
        with pytest.raises(InputError, match="list of strings"):
            cascade.rank_batch("red", [TEXTS])


def test_arank_equals_rank(models: Path) -> None:
    async def many(cascade: Cascade) -> list[Ranking]:
        return await asyncio.gather(*(cascade.arank(QUERY, random_texts(20, seed)) for seed in range(40)))

    with Cascade([Stage(models / "bi", keep=6), Stage(models / "ce", keep=3)]) as cascade:
        expected = [summary(cascade.rank(QUERY, random_texts(20, seed))) for seed in range(40)]
        assert [summary(ranking) for ranking in asyncio.run(many(cascade))] == expected


def test_arank_raises_what_rank_raises(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=6)]) as cascade, pytest.raises(InputError, match="query: empty"):
        asyncio.run(cascade.arank("", TEXTS))


def test_cancelling_a_task_ends_its_runs(slow: Path) -> None:
    """The workers are free again long before the cancelled request would have been through."""

    async def cancel(cascade: Cascade) -> float:
        task = asyncio.create_task(cascade.arank(QUERY, random_texts(9000)))
        await asyncio.sleep(0.3)
        task.cancel()
        started = time.perf_counter()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await cascade.arank(QUERY, TEXTS)) == 7
        return time.perf_counter() - started

    with Cascade([Stage(slow, keep=5)], workers=1) as cascade:
        assert asyncio.run(cancel(cascade)) < 3.0  # 9000 runs take at least half a minute


def test_a_thousand_concurrent_calls_equal_the_serial_result(models: Path) -> None:
    texts = [random_texts(12, seed) for seed in range(25)]
    with Cascade([Stage(models / "bi", keep=8), Stage(models / "ce", keep=4)], fusion="convex") as cascade:
        serial = [summary(cascade.rank(QUERY, some)) for some in texts]
        with ThreadPoolExecutor(32) as threads:
            found = list(threads.map(lambda number: summary(cascade.rank(QUERY, texts[number % 25])), range(1000)))
    assert all(found[number] == serial[number % 25] for number in range(1000))


def test_a_context_manager_closes(models: Path) -> None:
    before = threading.active_count()
    with Cascade([Stage(models / "ce", keep=4)]) as cascade:
        cascade.rank_batch([QUERY] * 4, [TEXTS] * 4)
        asyncio.run(cascade.arank(QUERY, TEXTS))
    assert threading.active_count() == before
    for call in (cascade.rank, lambda *a: cascade.rank_batch([a[0]], [a[1]])):
        with pytest.raises(CascadeError, match="closed"):
            call(QUERY, TEXTS)
    with pytest.raises(CascadeError, match="closed"):
        asyncio.run(cascade.arank(QUERY, TEXTS))
    with pytest.raises(CascadeError, match="closed"):
        cascade.encode(as_documents(TEXTS))
    cascade.close()  # twice is once


@pytest.mark.parametrize("stages", [1, 2])
def test_closing_waits_for_requests_under_way(slow: Path, models: Path, stages: int) -> None:
    """A request that had begun is answered whole, whichever thread it runs in."""
    chain = [Stage(slow, keep=40), Stage(models / "ce", keep=20)][:stages]
    cascade = Cascade(chain, workers=1)
    texts = random_texts(60)
    with ThreadPoolExecutor(1) as other:
        direct = other.submit(cascade.rank, QUERY, texts)
        time.sleep(0.1)
        cascade.close()
        ranking = direct.result()
    assert len(ranking) == 60
    assert not ranking.degraded
    assert [trace.scored for trace in ranking.trace.stages] == [60, 40][:stages]
