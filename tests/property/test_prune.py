"""Pruning one stage: cut-off, minimum, margin, ties, and what was not scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from cascaderank import kernels

LAST = kernels.Fusion("last", "z-score", 60.0, [], [])
logit = st.one_of(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0]), st.floats(-20, 20, width=32))
limit = st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.floats(0, 20, width=32))


def prune(
    logits: list[float | None], keep: int, minimum: float | None = None, margin: float | None = None
) -> tuple[list[int], tuple[int, int, int], list[int]]:
    """(alive, counts, whole order) after one stage; None was not scored."""
    pool = kernels.Pool()
    pool.reset(len(logits), None, 1, LAST)
    held = [index for index, score in enumerate(logits) if score is not None]
    pool.collect(0, np.array(held, np.int64), np.array([logits[index] for index in held], np.float32), 1)
    counts = pool.prune(0, keep, minimum, margin)
    alive = pool.alive().tolist()
    return alive, counts, pool.finish(len(logits))[0].tolist()


@given(st.lists(st.one_of(logit, st.none()), max_size=30), st.integers(1, 35), limit, limit)
def test_equals_the_reference(
    logits: list[float | None], keep: int, minimum: float | None, margin: float | None
) -> None:
    slow = reference.Pool(len(logits), None, 1)
    held = [index for index, score in enumerate(logits) if score is not None]
    slow.collect(0, held, [score for score in logits if score is not None])
    counts = slow.prune(0, keep, minimum, margin)
    assert prune(logits, keep, minimum, margin) == (slow.alive, counts, slow.order())


@given(st.lists(logit, min_size=1, max_size=30), st.integers(1, 35), st.integers(1, 35))
def test_a_larger_keep_keeps_a_superset(logits: list[float], a: int, b: int) -> None:
    small, large = prune(list(logits), min(a, b))[0], prune(list(logits), max(a, b))[0]
    assert large[: len(small)] == small


@given(st.lists(logit, min_size=1, max_size=30), st.integers(1, 35), limit, limit)
def test_is_idempotent(logits: list[float], keep: int, minimum: float | None, margin: float | None) -> None:
    """Pruning the survivors by the same rule drops nobody and moves nobody."""
    alive = prune(list(logits), keep, minimum, margin)[0]
    again = prune([logits[index] for index in alive], keep, minimum, margin)[0]
    assert again == list(range(len(alive)))


@given(st.lists(logit, min_size=1, max_size=30), st.integers(1, 35), limit, limit)
def test_the_order_holds_every_candidate_once_and_begins_with_the_survivors(
    logits: list[float], keep: int, minimum: float | None, margin: float | None
) -> None:
    alive, (scored, out, _), order = prune(list(logits), keep, minimum, margin)
    assert sorted(order) == list(range(len(logits)))
    assert order[: len(alive)] == alive
    assert (scored, out) == (len(logits), len(alive))
    assert len(alive) <= keep


@given(st.lists(logit, min_size=1, max_size=20), st.integers(1, 25), st.integers(0, 25))
def test_a_partial_finish_is_a_prefix_of_the_whole(logits: list[float], keep: int, count: int) -> None:
    wanted = min(count, len(logits))
    pool = kernels.Pool()
    pool.reset(len(logits), None, 1, LAST)
    pool.collect(0, np.arange(len(logits)), np.array(logits, np.float32), 1)
    pool.prune(0, keep, None, None)
    part = pool.finish(wanted)[0].tolist()
    assert part == pool.finish(len(logits))[0].tolist()[:wanted]


def test_limits_are_inclusive() -> None:
    """At the minimum stays; exactly `margin` below the best stays."""
    assert prune([1.0, 2.0, 0.5], 3, minimum=1.0)[0] == [1, 0]
    assert prune([1.0, 2.0, 0.5], 3, margin=1.0)[0] == [1, 0]


def test_the_margin_counts_from_the_stage_s_best_even_if_that_is_below_the_minimum() -> None:
    assert prune([1.0, 2.0], 2, minimum=3.0, margin=0.5) == ([], (2, 0, 2), [1, 0])


@pytest.mark.parametrize("keep", [0, -1])
def test_a_cut_off_below_one_is_refused(keep: int) -> None:
    with pytest.raises(ValueError, match=f"keep is {keep}"):
        prune([1.0], keep)
