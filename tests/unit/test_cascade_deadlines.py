"""Deadlines: degraded, best first, in time, whoever else uses the workers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cascaderank import (
    Cascade,
    Stage,
)
from graphs import make_slow
from ranking import QUERY, TEXTS, random_texts, summary


def test_a_deadline_degrades_and_the_best_come_first(models: Path, slow: Path) -> None:
    """The slow stage gets through some of 600 candidates: those the first pass liked best, in that order."""
    texts = random_texts(600)
    first = np.random.default_rng(5).permutation(600).astype(np.float32)
    with Cascade([Stage(slow, keep=600)], workers=1) as cascade:
        cascade.warm_up()
        ranking = cascade.rank(QUERY, texts, scores=first, deadline_ms=500)
    scored = [hit for hit in ranking if hit.stage is not None]
    assert ranking.degraded
    assert 0 < len(scored) < 600
    assert f"scored {len(scored)} of 600" in ranking.reasons[0]
    best_first = np.argsort(-first, kind="stable").tolist()
    assert {hit.index for hit in scored} == set(best_first[: len(scored)])
    assert ranking.order.tolist()[len(scored) :] == best_first[len(scored) :]  # the rest keeps its order below
    assert ranking.trace.stages[0].scored == len(scored)
    assert sorted(ranking.order.tolist()) == list(range(600))


def test_a_stage_that_cannot_start_is_named(models: Path, slow: Path) -> None:
    with Cascade([Stage(slow, keep=500, name="first"), Stage(models / "ce", keep=5, name="second")]) as cascade:
        ranking = cascade.rank(QUERY, random_texts(2000), deadline_ms=60)
    assert ranking.degraded
    assert "second" not in {hit.stage for hit in ranking}
    assert "'first'" in " ".join(ranking.reasons)


def test_a_run_that_overruns_is_ended(tmp_path: Path) -> None:
    """One run takes seconds; the answer does not wait for it."""
    with Cascade([Stage(make_slow(tmp_path / "slow", matmuls=400, size=512), keep=2)]) as cascade:
        started = time.perf_counter()
        ranking = cascade.rank(QUERY, TEXTS, deadline_ms=50)
        took = time.perf_counter() - started
    assert ranking.degraded
    assert ranking.order.tolist() == list(range(7))
    assert [hit.stage for hit in ranking] == [None] * 7
    assert took < 1.0


def test_a_deadline_with_time_to_spare_changes_nothing(models: Path) -> None:
    stages = [Stage(models / "bi", keep=30), Stage(models / "late", keep=20), Stage(models / "ce", keep=10)]
    with Cascade(stages, fusion="convex") as cascade:
        texts = random_texts(100)
        hurried, calm = cascade.rank(QUERY, texts, deadline_ms=60_000), cascade.rank(QUERY, texts)
    assert summary(hurried) == summary(calm)
    assert not hurried.degraded


def test_a_deadline_is_kept_while_others_use_the_workers(slow: Path) -> None:
    """Another request's long runs hold every worker; the one with a deadline does not wait for them to finish."""
    with Cascade([Stage(slow, keep=5)], workers=1) as cascade, ThreadPoolExecutor(1) as other:
        long = other.submit(cascade.rank, QUERY, random_texts(800))
        time.sleep(0.5)  # by then it is past tokenising and holds the worker for seconds
        started = time.perf_counter()
        ranking = cascade.rank(QUERY, TEXTS, deadline_ms=100)
        took = time.perf_counter() - started
        finished_before = long.done()
        assert len(long.result()) == 800
    assert ranking.degraded
    assert not finished_before
    assert took < 1.0


def test_the_cascade_s_own_deadline_holds_unless_overridden(slow: Path) -> None:
    with Cascade([Stage(slow, keep=5)], deadline_ms=50) as cascade:
        assert cascade.rank(QUERY, random_texts(1000)).degraded
        assert not cascade.rank(QUERY, TEXTS, deadline_ms=60_000).degraded
