"""Stores: one file, whole or refused; rows by id; texts that changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Document, Stage, Store, StoreError
from cascaderank.documents import read_documents, read_ids

DOCUMENTS = [Document("a", "red cat"), Document("b", ""), Document("c", "dog \U0001f600 fish")]


@pytest.fixture(scope="module")
def store(models: Path) -> Store:
    with Cascade(
        [Stage(models / "bi", keep=3), Stage(models / "late", keep=3), Stage(models / "ce", keep=3)]
    ) as cascade:
        return cascade.encode(DOCUMENTS)


def test_what_is_stored(store: Store) -> None:
    assert store.ids == ("a", "b", "c")
    assert len(store) == 3
    assert len(store.tokens) == 1  # one tokenizer file, three models
    (tokens,) = store.tokens.values()
    assert np.diff(tokens.cu_seqlens).tolist() == [2, 0, 3]
    (matrix,) = store.vectors.values()
    assert matrix.shape == (3, 8)
    assert np.linalg.norm(matrix, axis=1) == pytest.approx([1.0] * 3)
    (late,) = store.token_vectors.values()
    assert np.diff(late.cu_seqlens).tolist() == [4, 2, 5]
    assert sorted(store.models.values()) == ["bi", "ce", "late"]


def test_a_file_holds_all_of_it(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "documents.store"
    store.save(path)
    found = Store.load(path)
    assert (found.ids, found.models) == (store.ids, store.models)
    np.testing.assert_array_equal(found.checksums, store.checksums)
    for mine, theirs in ((found.vectors, store.vectors), (found.tokens, store.tokens)):
        assert list(mine) == list(theirs)
    for key, tokens in store.tokens.items():
        assert found.tokens[key].ids.dtype == np.int64
        assert found.tokens[key].ids.tolist() == tokens.ids.tolist()
        assert found.tokens[key].cu_seqlens.tolist() == tokens.cu_seqlens.tolist()
    for key, matrix in store.vectors.items():
        np.testing.assert_array_equal(found.vectors[key], matrix)
    for key, late in store.token_vectors.items():
        np.testing.assert_array_equal(found.token_vectors[key].vectors, late.vectors)
        np.testing.assert_array_equal(found.token_vectors[key].cu_seqlens, late.cu_seqlens)
    assert [item.name for item in tmp_path.iterdir()] == ["documents.store"]  # no partial file is left


def test_an_empty_store(models: Path, tmp_path: Path) -> None:
    with Cascade([Stage(models / "bi", keep=3), Stage(models / "ce", keep=1)]) as cascade:
        cascade.encode([]).save(tmp_path / "store")
        empty = Store.load(tmp_path / "store")
        assert len(empty) == 0
        assert cascade.rank("red", DOCUMENTS, store=empty)[0].id == "a"


def test_rows(store: Store) -> None:
    assert store.rows(read_ids(["c", "a"], None, 9)).tolist() == [2, 0]
    known = [DOCUMENTS[1], Document("new", "red"), DOCUMENTS[0]]
    assert store.rows(read_documents(known, None, 9)).tolist() == [1, -1, 0]


def test_every_byte_counts(store: Store, tmp_path: Path) -> None:
    """A file cut anywhere is refused; a byte changed anywhere is refused or was padding of the archive."""
    path = tmp_path / "store"
    store.save(path)
    whole = path.read_bytes()
    for size in [0, 1, 10, *range(100, len(whole), 400), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(StoreError, match="not a complete store file"):
            Store.load(path)
    changed = 0
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = Store.load(path)
        except StoreError:
            changed += 1
        else:
            np.testing.assert_array_equal(found.checksums, store.checksums)
            for key, matrix in store.vectors.items():
                np.testing.assert_array_equal(found.vectors[key], matrix)
    assert changed > 10


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x93NUMPY\x01\x00", bytes(range(256))])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(StoreError, match="not a complete store file"):
        Store.load(tmp_path / "file")


def test_an_array_file_of_another_kind(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.ones(3))
    np.savez(tmp_path / "many.npz", a=np.ones(3))
    for name in ("one.npy", "many.npz"):
        with pytest.raises(StoreError, match="not a complete store file"):
            Store.load(tmp_path / name)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as stream:
        np.savez(stream, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(StoreError, match="not a complete store file"):
        Store.load(tmp_path / "file")


def test_another_format(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "store"
    store.save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays["header"].tobytes()) | {"format": 99}
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with path.open("wb") as stream:
        np.savez(stream, **arrays)
    with pytest.raises(StoreError, match="store format 99, this version reads 1"):
        Store.load(path)


def test_a_path_that_cannot_be_read_or_written(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot read the store"):
        Store.load(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="cannot read the store"):
        Store.load(tmp_path)
    with pytest.raises(StoreError, match="cannot write the store"):
        store.save(tmp_path / "nowhere" / "store")


def test_a_failed_save_leaves_the_old_file(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "store"
    target.mkdir()  # nothing can replace a folder
    with pytest.raises(StoreError, match="cannot write the store"):
        store.save(target)
    assert [item.name for item in tmp_path.iterdir()] == ["store"]
