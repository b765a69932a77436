"""MaxSim against a slow, obvious twin, and the edges on which public implementations disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import reference_embed as reference
from cascaderank import kernels

VALUES = st.floats(-1, 1, width=32)
NO_MASK = np.empty(0, np.int64)


@dataclass(frozen=True)
class Case:
    query: NDArray[np.float32]
    query_mask: NDArray[np.int64]
    documents: list[NDArray[np.float32]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dimension, tokens = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    query = draw(arrays(np.float32, (tokens, dimension), elements=VALUES, fill=st.just(0.5)))
    query_mask = draw(arrays(np.int64, tokens, elements=st.integers(0, 1)))
    query_mask[draw(st.integers(0, tokens - 1))] = 1
    lengths = draw(st.lists(st.integers(1, 14), min_size=1, max_size=4))
    documents = [draw(arrays(np.float32, (n, dimension), elements=VALUES, fill=st.just(-0.25))) for n in lengths]
    return Case(query, query_mask, documents)


def score(
    case: Case,
    pads: list[int] | None = None,
    rows: list[int] | None = None,
    length_normalize: bool = False,
    bad: float = np.nan,
) -> NDArray[np.float32]:
    """The kernel over the documents, each followed by ``pads[d]`` masked tokens that hold ``bad``."""
    dimension = case.query.shape[1]
    blocks, masks, cu_seqlens = [np.empty((0, dimension), np.float32)], [NO_MASK], [0]
    for document, pad in zip(case.documents, pads or [0] * len(case.documents), strict=True):
        blocks += [document, np.full((pad, dimension), bad, np.float32)]
        masks += [np.ones(len(document), np.int64), np.zeros(pad, np.int64)]
        cu_seqlens.append(cu_seqlens[-1] + len(document) + pad)
    asked = np.array(range(len(case.documents)) if rows is None else rows, np.int64)
    out = np.full(len(asked), -99, np.float32)
    mask = NO_MASK if pads is None else np.concatenate(masks)
    kernels.maxsim(
        case.query, case.query_mask, np.concatenate(blocks), mask, np.array(cu_seqlens), asked, length_normalize, out
    )
    return out


@given(cases(), st.booleans())
def test_equals_the_reference(case: Case, length_normalize: bool) -> None:
    expected = reference.maxsim(case.query[case.query_mask == 1], case.documents, length_normalize)
    # 40 maxima, each a float32 chain of at most 20 products below 1.
    np.testing.assert_allclose(score(case, length_normalize=length_normalize), expected, atol=5e-5)


@given(cases(), st.data(), st.sampled_from([np.nan, np.inf, 0.0, 1.0]))
def test_padded_equals_unpadded(case: Case, data: st.DataObject, bad: float) -> None:
    pads = [data.draw(st.integers(0, 9)) for _ in case.documents]
    np.testing.assert_array_equal(score(case, pads=pads, bad=bad), score(case))


@given(cases(), st.data())
def test_a_score_depends_on_the_pair_alone(case: Case, data: st.DataObject) -> None:
    together = score(case)
    rows = data.draw(st.lists(st.integers(0, len(case.documents) - 1), max_size=6))
    np.testing.assert_array_equal(score(case, rows=rows), together[rows])
    for d, document in enumerate(case.documents):
        np.testing.assert_array_equal(score(Case(case.query, case.query_mask, [document])), together[d : d + 1])


def test_a_negative_maximum_stays_negative() -> None:
    case = Case(np.ones((1, 1), np.float32), np.ones(1, np.int64), [np.full((3, 1), -0.2, np.float32)])
    assert score(case)[0] == np.float32(-0.2)
    assert score(case, pads=[5], bad=0.0)[0] == np.float32(-0.2)


def test_length_normalised_unit_vectors_are_at_most_one() -> None:
    token = np.array([[0.6, 0.8]], np.float32)
    case = Case(np.repeat(token, 5, axis=0), np.array([1, 1, 0, 1, 0]), [token])
    assert score(case)[0] == pytest.approx(3, abs=1e-6)
    assert score(case, length_normalize=True)[0] == pytest.approx(1, abs=1e-6)


def test_no_rows_give_nothing() -> None:
    case = Case(np.ones((1, 2), np.float32), np.ones(1, np.int64), [np.ones((1, 2), np.float32)])
    assert len(score(case, rows=[])) == 0


def test_names_the_document_it_refuses() -> None:
    one = np.ones((1, 2), np.float32)
    empty = Case(one, np.ones(1, np.int64), [one, np.empty((0, 2), np.float32)])
    with pytest.raises(ValueError, match=r"rows\[1\] = 1: the document has no unmasked token"):
        score(empty)
    with pytest.raises(ValueError, match=r"rows\[1\] = 1: the document has no unmasked token"):
        score(empty, pads=[0, 4])
    with pytest.raises(ValueError, match=r"rows\[0\] is 2; there are 2 documents"):
        score(empty, rows=[2])
    with pytest.raises(ValueError, match="the query has no unmasked token"):
        score(Case(one, np.zeros(1, np.int64), [one]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, 6])
def test_a_maximum_hides_no_non_finite_token(bad: float, place: int) -> None:
    document = np.ones((7, 3), np.float32)
    document[place, 1] = bad
    case = Case(np.ones((2, 3), np.float32), np.ones(2, np.int64), [np.ones((1, 3), np.float32), document])
    with pytest.raises(ValueError, match=r"rows\[1\] = 1: a dot product is not finite"):
        score(case)
    with pytest.raises(ValueError, match="query token 0 holds a value that is not finite"):
        score(Case(np.full((1, 3), bad, np.float32), np.ones(1, np.int64), [np.ones((1, 3), np.float32)]))
