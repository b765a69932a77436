"""Collecting a stage's outputs: one or two columns, any split into micro-batches, NaN and Inf named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascaderank import kernels

LAST = kernels.Fusion("last", "z-score", 60.0, [1.0, 1.0], [])
small = st.floats(-1e6, 1e6, width=32)


def make_pool(size: int, first: list[float] | None = None) -> kernels.Pool:
    pool = kernels.Pool()
    pool.reset(size, None if first is None else np.array(first, np.float32), 1, LAST)
    return pool


def logits_of(pool: kernels.Pool, size: int) -> list[float]:
    order, _, _, logits = pool.finish(size)
    found = np.empty(size, np.float32)
    found[order] = logits[:, 0]
    return found.tolist()


@given(st.lists(st.tuples(small, small), min_size=1, max_size=20), st.sampled_from([1, 2]), st.data())
def test_every_split_gives_the_same_logits(rows: list[tuple[float, float]], columns: int, data: st.DataObject) -> None:
    """Positions in any order, in micro-batches of any size: a candidate gets its own row's logit."""
    array = np.array(rows, np.float32)
    expected = array[:, 0] if columns == 1 else array[:, 1] - array[:, 0]
    positions = data.draw(st.permutations(range(len(rows))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows)), max_size=4)) | {len(rows)})
    pool = make_pool(len(rows))
    start = 0
    for stop in cuts:
        part = np.array(positions[start:stop], np.int64)
        pool.collect(0, part, np.ascontiguousarray(array[part, :columns]).reshape(-1), columns)
        start = stop
    assert logits_of(pool, len(rows)) == expected.tolist()


@given(st.lists(small, min_size=1, max_size=12, unique=True))
def test_positions_count_in_the_alive_order(first: list[float]) -> None:
    """Row r belongs to the candidate in place positions[r] of alive(), which first-pass scores have reordered."""
    pool = make_pool(len(first), first)
    pool.collect(0, np.arange(len(first)), np.arange(len(first), dtype=np.float32), 1)
    descending = sorted(range(len(first)), key=lambda index: -first[index])
    assert logits_of(pool, len(first)) == [float(descending.index(index)) for index in range(len(first))]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("columns", [1, 2])
def test_an_output_that_is_not_finite_names_candidate_and_value(bad: float, columns: int) -> None:
    pool = make_pool(3, [0.0, 5.0, 1.0])  # alive: 1, 2, 0
    outputs = np.ones(3 * columns, np.float32)
    outputs[2 * columns + columns - 1] = bad
    with pytest.raises(kernels.NonFiniteScore) as caught:
        pool.collect(0, np.arange(3), outputs, columns)
    candidate, value = caught.value.args
    assert candidate == 0
    assert value == bad or (math.isnan(value) and math.isnan(bad))


def test_a_difference_that_overflows_is_not_a_score() -> None:
    pool = make_pool(1)
    with pytest.raises(kernels.NonFiniteScore):
        pool.collect(0, np.array([0]), np.array([-3e38, 3e38], np.float32), 2)


def test_a_candidate_scored_twice_is_an_internal_error() -> None:
    pool = make_pool(2)
    pool.collect(0, np.array([1]), np.ones(1, np.float32), 1)
    with pytest.raises(RuntimeError, match="scored twice"):
        pool.collect(0, np.array([0, 1]), np.ones(2, np.float32), 1)


@pytest.mark.parametrize(
    ("positions", "values", "columns"),
    [([0], 2, 1), ([0, 1], 2, 2), ([0], 3, 3), ([2], 1, 1), ([-1], 1, 1), ([0], 1, 0)],
)
def test_shapes_and_places_that_do_not_fit_are_refused(positions: list[int], values: int, columns: int) -> None:
    with pytest.raises(ValueError, match=r"outputs has|columns is|position"):
        make_pool(2).collect(0, np.array(positions, np.int64), np.ones(values, np.float32), columns)


def test_no_rows_are_no_work() -> None:
    pool = make_pool(0)
    pool.collect(0, np.empty(0, np.int64), np.empty(0, np.float32), 1)
    assert logits_of(pool, 0) == []
