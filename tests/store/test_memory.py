"""What a store gives for a row, checked by hand; stores made by a cascade."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Document, Stage, Store, StoreError
from cascaderank.documents import read_documents, read_ids
from stores import DIMENSION, LATE, content, documents_of, in_memory, part_of, schema

DOCUMENTS = [Document("a", "red cat"), Document("b", ""), Document("c", "dog \U0001f600 fish")]


@pytest.fixture(scope="module")
def store(models: Path) -> Store:
    with Cascade(
        [Stage(models / "bi", keep=3), Stage(models / "late", keep=3), Stage(models / "ce", keep=3)]
    ) as cascade:
        return cascade.encode(DOCUMENTS)


def test_what_a_cascade_stores(store: Store) -> None:
    assert store.ids == ("a", "b", "c")
    assert len(store) == 3
    everything = np.arange(3)
    (key,) = store.schema.tokens  # one tokenizer file, three models
    assert store.schema.tokens[key] == "uint16"
    assert np.diff(store.tokens(key, everything)[0].cu_seqlens).tolist() == [2, 0, 3]
    (bi,) = store.schema.vectors
    matrix = store.vectors(bi, everything)
    assert matrix.shape == (3, 8)
    assert np.linalg.norm(matrix, axis=1) == pytest.approx([1.0] * 3)
    (late,) = store.schema.token_vectors
    assert np.diff(store.segments[0].token_vectors(late)[1]).tolist() == [4, 2, 5]
    assert sorted(store.models.values()) == ["bi", "ce", "late"]


def test_rows(store: Store) -> None:
    assert store.rows(read_ids(["c", "a"], None, 9)).tolist() == [2, 0]
    known = [DOCUMENTS[1], Document("new", "red"), DOCUMENTS[0]]
    assert store.rows(read_documents(known, None, 9)).tolist() == [1, -1, 0]
    with pytest.raises(StoreError, match=r"ids\[1\]: 'z' is not in the store of 3 documents"):
        store.rows(read_ids(["a", "z"], None, 9))
    with pytest.raises(StoreError, match=r"documents\[1\] \(id 'b'\): its text is not the one the store was made from"):
        store.rows(read_documents([DOCUMENTS[0], Document("b", "changed")], None, 9))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 0.0), ("fp16", 2.0**-11), ("int8", 1 / 254)])
def test_vectors_are_kept_as_asked(precision: str, tolerance: float) -> None:
    """fp16 rounds to 11 bits; int8 to half a step of the row's largest value, which is at most 1 here."""
    documents = documents_of(40)
    given = part_of(documents)
    kept = in_memory(documents, precision)
    rows = np.arange(40)
    np.testing.assert_allclose(kept.vectors("bi", rows), given.vectors["bi"], rtol=0, atol=tolerance + 1e-7)
    query = np.random.default_rng(1).standard_normal(DIMENSION).astype(np.float32)
    exact = kept.vectors("bi", rows).astype(np.float64) @ query.astype(np.float64)
    # Of the kept vectors the products are exact up to fp32, and the 16 bits of int8's query.
    np.testing.assert_allclose(kept.dot("bi", query, rows), exact, atol=1e-6 if precision != "int8" else 1e-4)
    late = given.token_vectors["late"]
    token_query = np.random.default_rng(2).standard_normal((3, LATE)).astype(np.float32)
    bounds = late.cu_seqlens.tolist()
    expected = [(token_query @ late.vectors[a:b].T).max(1).sum() for a, b in pairwise(bounds)]
    np.testing.assert_allclose(kept.maxsim("late", token_query, rows, False), expected, atol=30 * tolerance + 1e-5)


def test_int8_keeps_a_zero_vector_and_the_largest_value() -> None:
    documents = {"zero": "a", "large": "b"}
    part = part_of(documents)
    part.vectors["bi"][0] = 0
    part.vectors["bi"][1] = [-3e30, 3e30, 1e30, 0, 0, 0]
    kept = Store.of(schema("int8"), [part])
    np.testing.assert_allclose(kept.vectors("bi", np.arange(2)), part.vectors["bi"], rtol=0.02)
    with pytest.raises(StoreError, match=r"document 'large': its vector .* has the value .*fp16 ends at 65504"):
        Store.of(schema("fp16"), [part])


def test_parts_continue_each_other() -> None:
    documents = documents_of(30)
    names = list(documents)
    cuts = [0, 1, 1, 7, 30]
    parts = [part_of({n: documents[n] for n in names[a:b]}) for a, b in pairwise(cuts)]
    assert content(Store.of(schema(), parts)) == content(in_memory(documents))


def test_an_id_that_comes_twice() -> None:
    with pytest.raises(StoreError, match=r"ids\[2\] repeats ids\[0\]; ids must be unique"):
        Store.of(schema(), [part_of({"a": "x", "b": "y"}), part_of({"a": "z"})])


def test_an_unknown_precision(models: Path) -> None:
    with (
        Cascade([Stage(models / "bi", keep=3)]) as cascade,
        pytest.raises(StoreError, match="got 'fp8', expected one of"),
    ):
        cascade.encode(DOCUMENTS, vectors="fp8")


def test_an_empty_store(models: Path, tmp_path: Path) -> None:
    with Cascade([Stage(models / "bi", keep=3), Stage(models / "ce", keep=1)]) as cascade:
        cascade.encode([]).save(tmp_path / "store")
        for empty in (cascade.encode([]), Store.open(tmp_path / "store")):
            assert len(empty) == 0
            assert empty.ids == ()
            assert cascade.rank("red", DOCUMENTS, store=empty)[0].id == "a"
            assert len(cascade.rank("red", ids=[], store=empty)) == 0
