"""Pooling, normalisation, gathered dot products and token compaction against slow, obvious twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import reference_embed as reference
from cascaderank import kernels

# Magnitudes a model produces; one rounding to float32 is at most 2^-24 of the value.
VALUES = st.floats(-100, 100, width=32)
POOLINGS = ["cls", "mean", "last_token"]


@st.composite
def hidden_and_mask(draw: st.DrawFn, attended: bool = True) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rows, length, dimension = draw(st.integers(0, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 40))
    hidden = draw(arrays(np.float32, (rows, length, dimension), elements=VALUES))
    mask = draw(arrays(np.int64, (rows, length), elements=st.integers(0, 1)))
    for row in range(rows if attended else 0):
        mask[row, draw(st.integers(0, length - 1))] = 1
    return hidden, mask


@given(hidden_and_mask(), st.sampled_from(POOLINGS), st.booleans())
def test_pooling_equals_the_reference(
    inputs: tuple[NDArray[np.float32], NDArray[np.int64]], pooling: str, normalize: bool
) -> None:
    hidden, mask = inputs
    out = np.full((hidden.shape[0], hidden.shape[2]), -99, np.float32)
    kernels.pool_embeddings(hidden, mask, pooling, normalize, out)
    expected = reference.pool_embeddings(hidden, mask, pooling, normalize)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-12)


@given(hidden_and_mask(), st.sampled_from(POOLINGS), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_pooling_never_reads_what_is_masked(
    inputs: tuple[NDArray[np.float32], NDArray[np.int64]], pooling: str, bad: float
) -> None:
    hidden, mask = inputs
    clean = np.empty((hidden.shape[0], hidden.shape[2]), np.float32)
    kernels.pool_embeddings(hidden, mask, pooling, True, clean)
    dirty = np.empty_like(clean)
    kernels.pool_embeddings(np.where(mask[:, :, None] == 1, hidden, np.float32(bad)), mask, pooling, True, dirty)
    np.testing.assert_array_equal(dirty, clean)


@pytest.mark.parametrize("left", [0, 3])
@pytest.mark.parametrize("right", [0, 2])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_the_same_for_either_padding_side(pooling: str, left: int, right: int) -> None:
    hidden = np.random.default_rng(0).standard_normal((1, 4, 8), dtype=np.float32)
    alone = np.empty((1, 8), np.float32)
    kernels.pool_embeddings(hidden, np.ones((1, 4), np.int64), pooling, True, alone)
    padded = np.pad(hidden, ((0, 0), (left, right), (0, 0)), constant_values=7)
    mask = np.pad(np.ones((1, 4), np.int64), ((0, 0), (left, right)))
    out = np.empty((1, 8), np.float32)
    kernels.pool_embeddings(padded, mask, pooling, True, out)
    np.testing.assert_array_equal(out, alone)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_names_the_row_it_refuses(pooling: str, bad: float) -> None:
    hidden = np.ones((3, 1, 2), np.float32)
    mask = np.ones((3, 1), np.int64)
    out = np.empty((3, 2), np.float32)
    hidden[2, 0, 1] = bad
    with pytest.raises(ValueError, match="row 2 of hidden holds a value that is not finite"):
        kernels.pool_embeddings(hidden, mask, pooling, False, out)
    mask[1] = 0
    with pytest.raises(ValueError, match="row 1 has no attended token"):
        kernels.pool_embeddings(hidden, mask, pooling, False, out)
    mask[0] = 2
    with pytest.raises(ValueError, match=r"mask row 0, position 0 is 2"):
        kernels.pool_embeddings(hidden, mask, pooling, False, out)


@given(arrays(np.float32, st.tuples(st.integers(0, 6), st.integers(1, 30)), elements=VALUES))
def test_normalised_rows_equal_the_reference(matrix: NDArray[np.float32]) -> None:
    expected = [reference.unit(row.astype(np.float64)) for row in matrix]
    kernels.normalize_rows(matrix)
    np.testing.assert_allclose(matrix, np.reshape(expected, matrix.shape), rtol=1e-6, atol=1e-12)


def test_normalise_changes_nothing_when_it_refuses() -> None:
    matrix = np.array([[3, 4], [np.inf, 0]], np.float32)
    with pytest.raises(ValueError, match="row 1 of matrix"):
        kernels.normalize_rows(matrix)
    np.testing.assert_array_equal(matrix[0], [3, 4])


@given(st.data())
def test_dot_rows_equal_the_reference(data: st.DataObject) -> None:
    dimension = data.draw(st.integers(1, 150))
    count = data.draw(st.integers(1, 6))
    values = st.floats(-1, 1, width=32)
    query = data.draw(arrays(np.float32, dimension, elements=values))
    matrix = data.draw(arrays(np.float32, (count, dimension), elements=values))
    rows = data.draw(arrays(np.int64, st.integers(0, 9), elements=st.integers(0, count - 1)))
    out = kernels.dot_rows(query, matrix, rows)
    # At most 150 float32 additions of products below 1.
    np.testing.assert_allclose(out, reference.dot_rows(query, matrix, rows), atol=1e-5)
    each = [kernels.dot_rows(query, matrix[row : row + 1].copy(), np.zeros(1, np.int64))[0] for row in rows]
    np.testing.assert_array_equal(out, np.array(each, np.float32))


@pytest.mark.parametrize("row", [-1, 2, 2**40])
def test_dot_rows_names_a_row_out_of_range(row: int) -> None:
    with pytest.raises(ValueError, match=rf"rows\[1\] is {row}; matrix has 2 rows"):
        kernels.dot_rows(np.ones(3, np.float32), np.ones((2, 3), np.float32), np.array([0, row]))


def test_dot_rows_refuse_a_product_that_is_not_finite() -> None:
    matrix = np.array([[1], [np.nan]], np.float32)
    with pytest.raises(ValueError, match=r"rows\[2\] = 1: the dot product is not finite"):
        kernels.dot_rows(np.ones(1, np.float32), matrix, np.array([0, 0, 1]))


@given(hidden_and_mask(attended=False), st.booleans())
def test_gathered_tokens_equal_the_reference(
    inputs: tuple[NDArray[np.float32], NDArray[np.int64]], normalize: bool
) -> None:
    hidden, keep = inputs
    out = np.full((int(keep.sum()), hidden.shape[2]), -99, np.float32)
    cu_out = np.full(hidden.shape[0] + 1, -99, np.int64)
    kernels.gather_tokens(hidden, keep, normalize, out, cu_out)
    expected, offsets = reference.gather_tokens(hidden, keep, normalize)
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(cu_out, offsets)


def test_gather_tokens_names_the_token_it_refuses() -> None:
    hidden = np.ones((2, 2, 3), np.float32)
    hidden[1, 0, 2] = np.nan
    keep = np.ones((2, 2), np.int64)
    cu_out = np.empty(3, np.int64)
    with pytest.raises(ValueError, match="row 1, position 0 of hidden"):
        kernels.gather_tokens(hidden, keep, True, np.empty((4, 3), np.float32), cu_out)
    with pytest.raises(ValueError, match="for 4 kept tokens"):
        kernels.gather_tokens(hidden, keep, True, np.empty((3, 3), np.float32), cu_out)
