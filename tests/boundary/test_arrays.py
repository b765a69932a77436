"""What crosses into the extension: exact dtype, C order, right shape, outputs writable and apart from everything else.

Every function is called once as it should be; then each array argument is spoilt in every way, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cascaderank import _core  # noqa: TID251  the boundary is under test
from core_calls import CALLS, FLOATS, form, fusion, int64

OPTIONAL = {("fill_batches", name) for name in ("attention_mask", "token_type_ids", "position_ids")} | {
    ("Pool.reset", "first_scores"),
    ("explore", "first_scores"),
}
ARRAYS = [
    pytest.param(name, key, id=f"{name}-{key}")
    for name, (_, make, _) in CALLS.items()
    for key, value in make().items()
    if isinstance(value, np.ndarray)
]
OUTPUTS = [pytest.param(name, key, id=f"{name}-{key}") for name, (_, _, keys) in CALLS.items() for key in keys]
BESIDE = [
    pytest.param(name, key, other, id=f"{name}-{key}-{other}")
    for name, (_, make, keys) in CALLS.items()
    for key in keys
    for other, value in make().items()
    if isinstance(value, np.ndarray) and other != key
]


def misaligned(array: np.ndarray) -> np.ndarray:
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return raw.view(array.dtype).reshape(array.shape)


def strided(array: np.ndarray) -> np.ndarray:
    wide = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
    wide[..., ::2] = array
    return wide[..., ::2]


# what -> (spoil, the error it must raise)
SPOILT: dict[str, tuple[Callable[[np.ndarray], Any], type[Exception]]] = {
    "list": (lambda array: array.tolist(), TypeError),
    "narrower": (lambda array: array.astype(np.int32 if array.dtype == np.int64 else np.float16), TypeError),
    "wider": (lambda array: array.astype(np.float64 if array.dtype != np.float64 else np.longdouble), TypeError),
    "unsigned": (lambda array: array.astype(np.uint64), TypeError),
    "byte-swapped": (lambda array: array.astype(array.dtype.newbyteorder()), TypeError),
    "strided": (strided, TypeError),
    "reversed": (lambda array: array.repeat(2, axis=-1)[..., ::-2], TypeError),
    "one dimension more": (lambda array: array[None], ValueError),
    "no dimension": (lambda array: array.reshape(-1)[0:1].reshape(()), ValueError),
    "misaligned": (misaligned, ValueError),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_call_as_it_should_be(name: str) -> None:
    function, make, _ = CALLS[name]
    function(**make())


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize(("name", "key"), ARRAYS)
def test_an_array_that_is_not_exact_is_refused(name: str, key: str, how: str) -> None:
    function, make, _ = CALLS[name]
    call = make()
    if call[key].itemsize == 1 and how in ("byte-swapped", "misaligned"):
        return  # a single byte has no order and lies right anywhere
    spoil, error = SPOILT[how]
    call[key] = spoil(call[key])
    with pytest.raises(error):
        function(**call)


@pytest.mark.parametrize(("name", "key"), [item for item in ARRAYS if item.values not in OPTIONAL])
def test_none_is_not_an_array(name: str, key: str) -> None:
    function, make, _ = CALLS[name]
    with pytest.raises(TypeError):
        function(**{**make(), key: None})


@pytest.mark.parametrize(("name", "key"), [pytest.param(*item, id="-".join(item)) for item in sorted(OPTIONAL)])
def test_what_is_optional_may_be_left_out(name: str, key: str) -> None:
    function, make, _ = CALLS[name]
    function(**{**make(), key: None})


@pytest.mark.parametrize("name", ["pool_embeddings", "normalize_rows", "dot_rows", "gather_tokens", "maxsim"])
def test_fortran_order_is_refused(name: str) -> None:
    function, make, _ = CALLS[name]
    for key, value in make().items():
        if isinstance(value, np.ndarray) and value.ndim > 1:
            with pytest.raises(TypeError):
                function(**{**make(), key: np.asfortranarray(value)})


@pytest.mark.parametrize(("name", "key"), OUTPUTS)
def test_a_read_only_output_is_refused(name: str, key: str) -> None:
    function, make, _ = CALLS[name]
    call = make()
    call[key].flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        function(**call)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        item
        for item in ARRAYS
        if (item.values[0], item.values[1]) not in {(name, key) for name, (_, _, keys) in CALLS.items() for key in keys}
    ],
)
def test_a_read_only_input_is_fine(name: str, key: str) -> None:
    function, make, _ = CALLS[name]
    call = make()
    call[key].flags.writeable = False
    function(**call)


@pytest.mark.parametrize(("name", "key"), OUTPUTS)
@pytest.mark.parametrize("change", [-1, 1])
def test_an_output_of_another_size_is_refused(name: str, key: str, change: int) -> None:
    function, make, _ = CALLS[name]
    if (name, key) == ("normalize_rows", "matrix") or (name == "topk" and change < 0):
        return  # written in place, whatever its size; a smaller k is another request
    call = make()
    shape = (call[key].shape[0] + change, *call[key].shape[1:])
    if name == "topk":
        shape = (len(FLOATS) + 1,)
    call[key] = np.empty(shape, call[key].dtype)
    with pytest.raises(ValueError, match=r"entries|differ in size|tensor|holds|rows|of \d|out|slots"):
        function(**call)


@pytest.mark.parametrize(("name", "key", "other"), BESIDE)
def test_an_output_that_overlaps_another_array_is_refused(name: str, key: str, other: str) -> None:
    """Both live in one buffer, the output one element further: any overlap is refused, not only the same start."""
    function, make, _ = CALLS[name]
    call = make()
    shared = np.zeros(max(call[key].nbytes, call[other].nbytes) // 4 * 2, np.float32).view(np.int64)
    before = {label: value.copy() for label, value in call.items() if isinstance(value, np.ndarray)}
    for label, start in ((other, 0), (key, 1)):
        view = shared.view(call[label].dtype)
        start *= 8 // call[label].itemsize
        call[label] = view[start : start + call[label].size].reshape(call[label].shape)
    call[other][...] = before[other]
    with pytest.raises(ValueError, match="overlaps"):
        function(**call)


@pytest.mark.parametrize(
    ("cu_seqlens", "match"),
    [
        ([], "must start at 0"),
        ([1, 3], "must start at 0"),
        ([0, 2, 1, 3], "must not decrease"),
        ([0, 2], "ends at 2"),
        ([0, 4], "ends at 4"),
        ([0, -1, 3], "must not decrease"),
    ],
)
@pytest.mark.parametrize("name", ["sequence_lengths", "fill_batches"])
def test_offsets_that_are_not_a_ragged_array_are_refused(name: str, cu_seqlens: list[int], match: str) -> None:
    function, make, _ = CALLS[name]
    with pytest.raises(ValueError, match=match):
        function(**{**make(), "cu_seqlens": int64(*cu_seqlens)})


@pytest.mark.parametrize("name", [name for name, (_, make, _) in CALLS.items() if "rows" in make()])
@pytest.mark.parametrize("row", [-1, 3, 2**62])
def test_a_row_out_of_range_is_refused(name: str, row: int) -> None:
    function, make, _ = CALLS[name]
    with pytest.raises(ValueError, match=str(row)):
        function(**{**make(), "rows": int64(1, row)})


def test_nothing_in_nothing_out() -> None:
    """Empty arrays are a request for no work, everywhere."""
    none, zero = np.empty(0, np.int64), int64(0)
    assert _core.sequence_lengths(none, zero, none, 0, form(), none.copy()) == (0, 0)
    assert _core.plan_batches(none, 1, 1, 1, 1, False, none.copy(), int64(9), none.copy()) == (0, 0)
    tensors = [np.empty(0, np.int64) for _ in range(4)]
    _core.fill_batches(none, none, zero, none, none, form(), none, zero, none, False, *tensors)
    _core.gather_ids_uint16(np.empty(0, np.uint16), zero, none, none.copy())
    _core.gather_ids_int32(np.empty(0, np.int32), zero, none, none.copy())
    table = np.empty(_core.id_table_size(0), np.int64)
    _core.index_ids(np.empty(0, np.uint8), zero, table)
    _core.find_ids(np.empty(0, np.uint8), zero, table, np.empty(0, np.uint8), zero, none.copy())
    _core.topk(np.empty(0, np.float32), none.copy())
    _core.dot_rows(np.ones(3, np.float32), np.empty((0, 3), np.float32), none, np.empty(0, np.float32))
    made = _core.Pool()
    made.reset(0, None, 0, fusion())
    assert [len(array) for array in made.finish(0)] == [0, 0, 0, 0]


@pytest.mark.parametrize("rule", ["token_budget", "max_rows", "window", "width_multiple"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_plan_without_room_is_refused(rule: str, value: int) -> None:
    function, make, _ = CALLS["plan_batches"]
    with pytest.raises(ValueError, match=f"{rule} {value}"):
        function(**{**make(), rule: value})


@pytest.mark.parametrize(
    ("parts", "segments"),
    [
        ([_core.QUERY], []),
        ([_core.DOCUMENT, _core.DOCUMENT], []),
        ([_core.DOCUMENT, -3], []),
        ([_core.DOCUMENT], [0, 1]),
    ],
)
def test_a_template_that_is_none_is_refused(parts: list[int], segments: list[int]) -> None:
    function, make, _ = CALLS["sequence_lengths"]
    with pytest.raises(ValueError, match="template"):
        function(**{**make(), "form": _core.Template(parts, segments, 0, 0, 16)})


def test_segments_are_needed_for_token_types() -> None:
    function, make, _ = CALLS["fill_batches"]
    plain = _core.Template([101, _core.QUERY, 102, _core.DOCUMENT, 102], [], 0, 0, 16)
    with pytest.raises(ValueError, match="token_type_ids asked for"):
        function(**{**make(), "form": plain})
