"""A pool through several stages against the slow reference: cut-offs, limits, skipped and partial stages, fusion."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from cascaderank import kernels

score = st.one_of(st.sampled_from([-3.0, -0.0, 0.0, 1.0, 2.0]), st.floats(-20, 20, width=32))
limit = st.one_of(st.none(), st.none(), st.sampled_from([0.0, 1.0, 4.0]))


@settings(max_examples=250)
@given(
    st.data(),
    st.integers(0, 16),
    st.integers(1, 4),
    st.sampled_from(["last", "rrf", "convex", "weighted"]),
    st.sampled_from(["z-score", "min-max"]),
)
def test_any_sequence_of_stages_equals_the_reference(
    data: st.DataObject, size: int, stages: int, kind: str, how: str
) -> None:
    column = st.lists(score, min_size=size, max_size=size)
    first = data.draw(st.one_of(st.none(), column))
    if first is not None and not first:
        first = None
    weights = [data.draw(st.sampled_from([0.0, 0.5, 1.0]))]
    weights += [data.draw(st.sampled_from([0.5, 1.0, 2.0])) for _ in range(stages)]
    maps = [(1.0, 0.0), *((data.draw(st.sampled_from([0.5, 2.0])), 0.25) for _ in range(stages))]
    slow = reference.Pool(size, first, stages, kind, how, 60.0, weights, maps)
    pool = kernels.Pool()
    pool.reset(
        size,
        None if first is None else np.array(first, np.float32),
        stages,
        kernels.Fusion(kind, how, 60.0, weights, [kernels.Calibration(a, a, b, [], []) for a, b in maps]),
    )
    for stage in range(stages):
        assert pool.alive().tolist() == slow.alive
        if not slow.alive or data.draw(st.integers(0, 4)) == 0:
            continue  # skipped: its scores are nobody's
        logits = data.draw(column)
        places = data.draw(st.permutations(range(len(slow.alive))))
        places = places[: data.draw(st.one_of(st.just(len(places)), st.integers(1, len(places))))]  # or cut short
        values = [logits[slow.alive[place]] for place in places]
        pool.collect(stage, np.array(places, np.int64), np.array(values, np.float32), 1)
        slow.collect(stage, places, values)
        rule = data.draw(st.integers(1, size)), data.draw(limit), data.draw(limit)
        assert pool.prune(stage, *rule) == slow.prune(stage, *rule)
    count = data.draw(st.integers(0, size))
    order, reached, values, logits = pool.finish(count)
    assert order.tolist() == slow.order()[:count]
    assert reached.tolist() == [slow.settled[index].stage for index in order.tolist()]
    assert values.tolist() == pytest.approx([slow.settled[index].value for index in order.tolist()], abs=1e-12)
    for place, candidate in enumerate(order.tolist()):
        expected = [slow.logits[stage].get(candidate, math.nan) for stage in range(stages)]
        assert logits[place].tolist() == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.lists(score, min_size=1, max_size=12), min_size=1, max_size=4))
def test_a_pool_used_before_ranks_like_a_new_one(requests: list[list[float]]) -> None:
    """Buffers are reused between requests, nothing else is."""
    fusion = kernels.Fusion("convex", "z-score", 60.0, [1.0, 1.0, 1.0], [])
    used = kernels.Pool()

    def run(pool: kernels.Pool, first: list[float]) -> list[list[float]]:
        pool.reset(len(first), np.array(first, np.float32), 2, fusion)
        for stage in range(2):
            alive = pool.alive()
            pool.collect(stage, np.arange(len(alive)), np.sin(alive + stage).astype(np.float32), 1)
            pool.prune(stage, max(1, len(alive) // 2), None, None)
        return [array.tolist() for array in pool.finish(len(first))]

    for first in requests:
        assert repr(run(used, first)) == repr(run(kernels.Pool(), first))


def one_stage() -> kernels.Pool:
    pool = kernels.Pool()
    pool.reset(2, None, 2, kernels.Fusion("last", "z-score", 60.0, [], []))
    pool.collect(1, np.arange(2), np.ones(2, np.float32), 1)
    pool.prune(1, 2, None, None)
    return pool


def test_stages_run_forwards_only() -> None:
    with pytest.raises(ValueError, match="stage 0"):
        one_stage().collect(0, np.arange(2), np.ones(2, np.float32), 1)
    with pytest.raises(ValueError, match="stage 1"):
        one_stage().prune(1, 2, None, None)
    with pytest.raises(ValueError, match="stage 2 of 2"):
        one_stage().prune(2, 2, None, None)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_first_pass_score_that_is_not_finite_is_refused(bad: float) -> None:
    pool = kernels.Pool()
    with pytest.raises(ValueError, match="candidate 1"):
        pool.reset(2, np.array([0.0, bad], np.float32), 1, kernels.Fusion("last", "z-score", 60.0, [], []))


@pytest.mark.parametrize(("size", "first", "stages", "count"), [(-1, None, 1, 0), (2, 3, 1, 0), (2, None, -1, 0)])
def test_sizes_that_do_not_fit_are_refused(size: int, first: int | None, stages: int, count: int) -> None:
    scores = None if first is None else np.ones(first, np.float32)
    with pytest.raises(ValueError, match=r"pool of|first_scores"):
        kernels.Pool().reset(size, scores, stages, kernels.Fusion("last", "z-score", 60.0, [], []))


@pytest.mark.parametrize("count", [-1, 3])
def test_finish_takes_no_more_than_there_are(count: int) -> None:
    with pytest.raises(ValueError, match=f"finish {count} of 2"):
        one_stage().finish(count)
