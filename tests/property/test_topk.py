"""Top-k against a sorted list: ties by index, -0.0 equal to 0.0, infinities and NaN refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from cascaderank import kernels

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
tied = st.sampled_from([-1.5, -0.0, 0.0, 0.25, 1e-45, -1e-45, 3.0])
scores = st.one_of(st.lists(finite, max_size=40), st.lists(tied, max_size=60))


@given(scores, st.integers(0, 70))
def test_equals_the_reference(values: list[float], k: int) -> None:
    assert kernels.topk(np.array(values, np.float32), k).tolist() == reference.topk(values, k)


@given(scores, st.integers(0, 30), st.integers(0, 30))
def test_a_larger_k_keeps_a_superset(values: list[float], a: int, b: int) -> None:
    array = np.array(values, np.float32)
    small, large = kernels.topk(array, min(a, b)).tolist(), kernels.topk(array, max(a, b)).tolist()
    assert large[: len(small)] == small


@given(scores, st.integers(1, 30))
def test_is_idempotent(values: list[float], k: int) -> None:
    """The best k of the best k are the best k, in the same order."""
    array = np.array(values, np.float32)
    best = kernels.topk(array, k)
    assert kernels.topk(array[best], k).tolist() == list(range(len(best)))


def shaped(count: int, seed: int, shape: str) -> np.ndarray:
    """Many scores in the orders that mislead a sample: sorted, rotated, mostly equal, the best all in one place or at
    every n-th."""
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(count).astype(np.float32)
    if shape == "ascending":
        values.sort()
    elif shape == "descending":
        values = -np.sort(-values)
    elif shape == "tied":
        values = generator.integers(-1, 2, count).astype(np.float32)
    elif shape == "equal":
        values[:] = -2.5
    elif shape == "best together":
        values[generator.integers(0, count) :][:40] += 100
    elif shape == "best at every 16th":
        values[:: max(1, count // 64)] += 100
    return values


@given(
    st.integers(200, 1500),
    st.integers(0, 10_000),
    st.sampled_from(["random", "ascending", "descending", "tied", "equal", "best together", "best at every 16th"]),
    st.one_of(st.integers(1, 120), st.integers(0, 1500)),
)
def test_many_scores_equal_the_reference(count: int, seed: int, shape: str, k: int) -> None:
    values = shaped(count, seed, shape)
    assert kernels.topk(values, k).tolist() == reference.topk(values.tolist(), k)


def test_negative_zero_ties_with_zero() -> None:
    assert kernels.topk(np.array([-0.0, 0.0, -0.0], np.float32), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_score_that_is_not_finite_is_refused(bad: float, place: int) -> None:
    array = np.array([0.0, 1.0, 2.0, 3.0, 4.0], np.float32)
    array[place] = bad
    with pytest.raises(ValueError, match="not finite"):
        kernels.topk(array, 2)
