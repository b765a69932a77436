"""Shapes that disagree at the boundary of the vector kernels. What one array alone can get wrong (dtype, order, stride,
alignment, writability, overlap) is test_arrays.py's; here arrays that are each fine do not fit together, and the
message must say which and how."""

from __future__ import annotations

import numpy as np
import pytest

from core_calls import CALLS, int64

MAXSIM = ("maxsim", "maxsim_fp16", "maxsim_int8")
VECTOR_KERNELS = (
    "pool_embeddings",
    "normalize_rows",
    "dot_rows",
    "dot_rows_fp16",
    "dot_rows_int8",
    "gather_tokens",
    *MAXSIM,
)
ARRAYS = [
    pytest.param(name, key, id=f"{name}-{key}")
    for name in VECTOR_KERNELS
    for key, value in CALLS[name][1]().items()
    if isinstance(value, np.ndarray)
]


@pytest.mark.parametrize(("name", "key"), ARRAYS)
def test_another_number_of_dimensions_is_refused_by_name(name: str, key: str) -> None:
    function, make, _ = CALLS[name]
    call = make()
    with pytest.raises(
        ValueError, match=rf"^{key}: expected {call[key].ndim} dimension\(s\), got {call[key].ndim + 1}"
    ):
        function(**{**call, key: call[key][..., None]})


@pytest.mark.parametrize(
    ("name", "key", "shape", "message"),
    [
        ("pool_embeddings", "mask", (2, 4), r"mask: shape \[2, 4\] does not match hidden \[2, 3, 2\]"),
        ("pool_embeddings", "mask", (3, 2), r"mask: shape \[3, 2\] does not match hidden \[2, 3, 2\]"),
        ("pool_embeddings", "out", (1, 4), "out: 4 columns, expected 2"),
        ("pool_embeddings", "out", (3, 2), "out holds 6 values, expected 4"),
        ("dot_rows", "query", (3,), "matrix: 4 columns, expected 3"),
        ("dot_rows", "out", (3,), "out holds 3 values, expected 2"),
        ("dot_rows_fp16", "query", (3,), "matrix: 4 columns, expected 3"),
        ("dot_rows_fp16", "out", (3,), "out holds 3 values, expected 2"),
        ("dot_rows_int8", "query", (3,), "matrix: 4 columns, expected 3"),
        ("dot_rows_int8", "scales", (2,), "scales holds 2 values, expected 3"),
        ("gather_tokens", "keep", (3, 2), r"keep: shape \[3, 2\] does not match hidden \[2, 3, 2\]"),
        ("gather_tokens", "out", (2, 2), "out holds 4 values, expected 6 for 3 kept tokens"),
        ("gather_tokens", "out", (2, 3), "out: 3 columns, expected 2"),
        ("gather_tokens", "cu_out", (2,), "cu_out holds 2 values, expected 3"),
        ("maxsim", "query_mask", (3,), "query holds 4 values, expected 6 for 3 tokens"),
        ("maxsim", "documents", (2, 3), "documents: 3 columns, query has 2"),
        ("maxsim", "document_mask", (2,), "document_mask holds 2 values, expected 3 or none"),
        ("maxsim", "out", (1,), "out holds 1 values, expected 2"),
        ("maxsim_fp16", "documents", (2, 3), "documents: 3 columns, query has 4"),
        ("maxsim_int8", "scales", (2,), "scales holds 2 values, expected 3"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(name: str, key: str, shape: tuple[int, ...], message: str) -> None:
    function, make, _ = CALLS[name]
    call = make()
    with pytest.raises(ValueError, match=message):
        function(**{**call, key: np.ones(shape, call[key].dtype)})


@pytest.mark.parametrize(
    ("cu_seqlens", "message"),
    [
        ([], "cu_seqlens is empty"),
        ([-1, 3, 3], r"rows\[0\] = 0: cu_seqlens gives it tokens -1 to 3 of 3"),
        ([0, 4, 3], r"rows\[0\] = 0: cu_seqlens gives it tokens 0 to 4 of 3"),
        ([0, 2, 1], r"rows\[1\] = 1: cu_seqlens gives it tokens 2 to 1 of 3"),
        ([0, 1, 4], r"rows\[1\] = 1: cu_seqlens gives it tokens 1 to 4 of 3"),
    ],
)
@pytest.mark.parametrize("name", MAXSIM)
def test_offsets_outside_the_tokens_are_refused(name: str, cu_seqlens: list[int], message: str) -> None:
    function, make, _ = CALLS[name]
    with pytest.raises(ValueError, match=message):
        function(**{**make(), "cu_seqlens": int64(*cu_seqlens)})


def test_an_empty_document_mask_stands_for_all_tokens() -> None:
    function, make, _ = CALLS["maxsim"]
    masked, unmasked = make(), {**make(), "document_mask": int64()}
    function(**masked)
    function(**unmasked)
    np.testing.assert_array_equal(masked["out"], unmasked["out"])
    assert masked["out"].any()


@pytest.mark.parametrize("name", ["pool_embeddings", "normalize_rows", "gather_tokens", "maxsim"])
def test_no_dimension_is_refused_and_no_rows_are_fine(name: str) -> None:
    function, make, _ = CALLS[name]
    call = make()
    vectors = [key for key, value in call.items() if isinstance(value, np.ndarray) and value.ndim > 1]
    floats = [key for key in vectors if call[key].dtype == np.float32]
    with pytest.raises(ValueError, match="dimension"):
        function(**{**call, **{key: np.empty((*call[key].shape[:-1], 0), np.float32) for key in floats}})
    if name == "maxsim":
        nothing = {"rows": int64(), "out": np.empty(0, np.float32)}
    else:
        nothing = {key: np.empty((0, *call[key].shape[1:]), call[key].dtype) for key in vectors}
    function(**{**call, **nothing, **({"cu_out": int64(9)} if name == "gather_tokens" else {})})


@pytest.mark.parametrize("pooling", ["max", "", "CLS"])
def test_an_unknown_pooling_is_refused(pooling: str) -> None:
    function, make, _ = CALLS["pool_embeddings"]
    with pytest.raises(ValueError, match=f"pooling: got '{pooling}', expected 'cls', 'mean' or 'last_token'"):
        function(**{**make(), "pooling": pooling})
