"""Dot products with vectors kept in 16 and 8 bits, and ids found by a table, against slow, obvious twins."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import reference_embed as reference
from cascaderank import kernels
from cascaderank.kernels import Int8Rows
from cascaderank.store.columns import decode_ids, encode_ids, narrow


@st.composite
def queries_and_rows(draw: st.DrawFn) -> tuple[np.ndarray, int, int, np.ndarray]:
    dimension, count = draw(st.integers(1, 100)), draw(st.integers(1, 6))
    query = draw(arrays(np.float32, dimension, elements=st.floats(-1, 1, width=32)))
    rows = draw(arrays(np.int64, st.integers(0, 9), elements=st.integers(0, count - 1)))
    return query, dimension, count, rows


@given(queries_and_rows(), st.data())
def test_halves_are_their_values(call: tuple[np.ndarray, int, int, np.ndarray], data: st.DataObject) -> None:
    query, dimension, count, rows = call
    matrix = data.draw(arrays(np.float16, (count, dimension), elements=st.floats(-2, 2, width=16)))
    expected = reference.dot_rows(query, matrix.astype(np.float32), rows)
    np.testing.assert_allclose(kernels.dot_rows(query, matrix, rows), expected, atol=2e-5)


@given(queries_and_rows(), st.data())
def test_bytes_are_exact_but_for_one_rounding(
    call: tuple[np.ndarray, int, int, np.ndarray], data: st.DataObject
) -> None:
    query, dimension, count, rows = call
    values = data.draw(arrays(np.int8, (count, dimension)))
    scales = data.draw(arrays(np.float32, count, elements=st.floats(0, 1, width=32)))
    expected = reference.dot_rows_int8(query, values, scales, rows)
    found = kernels.dot_rows(query, Int8Rows(values, scales), rows)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-30)


@given(arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 20)), elements=st.floats(-1e4, 1e4, width=32)))
def test_int8_is_within_half_a_step_of_each_row(matrix: np.ndarray) -> None:
    kept = narrow(matrix, "int8")
    assert isinstance(kept, Int8Rows)
    step = np.abs(matrix).max(axis=1, initial=0) / 127
    error = np.abs(kept.values * kept.scales[:, None].astype(np.float64) - matrix)
    # Below the smallest normal numbers a scale itself is rounded coarsely.
    assert (error <= step[:, None] * 0.501 + 1e-42 * 127).all()


@given(
    st.lists(st.text(st.characters(codec=None), max_size=12), unique=True, max_size=30), st.lists(st.text(max_size=3))
)
def test_every_id_is_found_in_its_row(ids: list[str], others: list[str]) -> None:
    data, offsets = encode_ids(ids)
    assert decode_ids(data, offsets) == ids
    wanted = [*reversed(ids), *others]
    out = np.empty(len(wanted), np.int64)
    kernels.find_ids(data, offsets, kernels.index_ids(data, offsets), *encode_ids(wanted), out)
    assert out.tolist() == [ids.index(name) if name in ids else -1 for name in wanted]
