"""A store folder: what is read is what was written, or an error that names the file."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from cascaderank import Store, StoreError
from cascaderank.store import MANIFEST, Writer
from stores import content, documents_of, in_memory, part_of, schema

IDS = ["plain", "größe", "\U0001f600 smile", "", " ", "a\nb", "nul\x00", "x" * 10_000, "\ud800", "é", "e\u0301"]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_folder_holds_all_of_it(precision: str, tmp_path: Path) -> None:
    store = in_memory(documents_of(50), precision)
    store.save(tmp_path / "store")
    found = Store.open(tmp_path / "store")
    assert (found.ids, found.schema, len(found)) == (store.ids, store.schema, 50)
    assert found.checksums.tolist() == store.checksums.tolist()
    assert content(found) == content(store)
    assert found.verify() > 1000
    assert not [item for item in (tmp_path / "store").iterdir() if "partial" in item.name]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_small_stores(count: int, tmp_path: Path) -> None:
    store = in_memory(documents_of(count))
    store.save(tmp_path / "store")
    assert content(Store.open(tmp_path / "store")) == content(Store.load(tmp_path / "store")) == content(store)


def test_any_string_is_an_id(tmp_path: Path) -> None:
    documents = {name: f"text {number}" for number, name in enumerate(IDS)}
    in_memory(documents).save(tmp_path / "store")
    found = Store.open(tmp_path / "store")
    assert found.ids == tuple(IDS)
    assert found.find(IDS[::-1]).tolist() == list(range(len(IDS)))[::-1]
    assert found.find(["plai", "plain ", "x" * 9_999, "E\u0301", "\udc00"]).tolist() == [-1] * 5


def test_save_replaces_an_older_store_and_its_readers_keep_it(tmp_path: Path) -> None:
    first, second = in_memory(documents_of(20)), in_memory(documents_of(5, word="new"), "int8")
    first.save(tmp_path / "store")
    reader = Store.open(tmp_path / "store")
    files = {item.name for item in (tmp_path / "store").iterdir()}
    second.save(tmp_path / "store")
    assert content(Store.open(tmp_path / "store")) == content(second)
    assert content(reader) == content(first)
    assert not {name for name in files if name[0].isdigit()} & {item.name for item in (tmp_path / "store").iterdir()}


@pytest.mark.parametrize("file", [MANIFEST, "00000001.vectors0"])
def test_save_replaces_a_damaged_store(file: str, tmp_path: Path) -> None:
    in_memory(documents_of(20)).save(tmp_path / "store")
    (tmp_path / "store" / file).write_bytes(b"?")
    store = in_memory(documents_of(7))
    store.save(tmp_path / "store")
    found = Store.open(tmp_path / "store")
    assert content(found) == content(store)
    names = {record.name for segment in found.manifest.segments for record in segment.all_files}
    assert {item.name for item in (tmp_path / "store").iterdir()} == {MANIFEST, "lock", *names}


def test_a_store_is_saved_without_what_was_deleted(tmp_path: Path) -> None:
    in_memory(documents_of(9)).save(tmp_path / "one")
    with Writer(tmp_path / "one") as writer:
        writer.delete(["d3", "d8"])
        writer.commit()
    store = Store.open(tmp_path / "one")
    store.save(tmp_path / "two")
    assert content(Store.open(tmp_path / "two")) == content(store)
    assert "d3" not in store.ids


def test_every_file_cut_anywhere_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    in_memory(documents_of(12), "int8").save(whole)
    with Writer(whole) as writer:
        writer.delete(["d1"])
        writer.commit()
    files = [item for item in sorted(whole.iterdir()) if item.name != "lock"]
    assert len(files) > 12
    for file in files:
        data = file.read_bytes()
        for size in sorted({0, 1, len(data) // 2, len(data) - 1}):
            file.write_bytes(data[:size])
            with pytest.raises(StoreError, match=file.name):
                Store.open(whole)
        file.write_bytes(data + b"\x00")  # and so is a longer one
        with pytest.raises(StoreError, match=file.name):
            Store.open(whole)
        file.unlink()
        with pytest.raises(StoreError, match=file.name):
            Store.open(whole)
        file.write_bytes(data)
    Store.open(whole).verify()


def test_every_byte_counts(tmp_path: Path) -> None:
    """A changed byte of the manifest is seen at once, one of another file by ``verify``; and what is read meanwhile is
    an error of ours or a value, never a crash."""
    folder = tmp_path / "store"
    store = in_memory(documents_of(8), "int8")
    store.save(folder)
    generator = np.random.default_rng(5)
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        for place in generator.choice(len(data), min(8, len(data)), replace=False).tolist():
            changed = bytearray(data)
            changed[place] ^= 1 << int(generator.integers(8))
            file.write_bytes(changed)
            if file.name == "lock":
                continue
            if file.name == MANIFEST:
                with pytest.raises(StoreError, match=MANIFEST):
                    Store.open(folder)
                continue
            try:
                found = Store.open(folder)
            except StoreError:
                assert "offsets" in file.name  # what they end at does not fit the file they divide
                continue
            with pytest.raises(StoreError, match=file.name):
                found.verify()
            with contextlib.suppress(StoreError, UnicodeDecodeError, ValueError, IndexError):
                content(found)  # ``ids`` decodes what it finds
        file.write_bytes(data)
    assert content(Store.open(folder)) == content(store)


@pytest.mark.parametrize("damage", ["offsets", "table"])
def test_damage_that_ranking_meets_is_named(damage: str, tmp_path: Path) -> None:
    in_memory(documents_of(8)).save(tmp_path / "store")
    file = tmp_path / "store" / ("00000001.tokens0.offsets" if damage == "offsets" else "00000001.ids.table")
    values = np.frombuffer(file.read_bytes(), np.int64).copy()
    if damage == "offsets":
        values[3] = 1 << 50
    else:
        values[values >= 0] += 1 << 30
    file.write_bytes(values.tobytes())
    store = Store.open(tmp_path / "store")
    with pytest.raises(StoreError, match=r"store: segment 0: .*cascaderank check .*encode the documents again"):
        store.tokens("few", store.find(["d2"]))


def test_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere: no such folder"):
        Store.open(tmp_path / "nowhere")
    (tmp_path / "old.npz").write_bytes(b"PK")
    with pytest.raises(StoreError, match=r"old.npz: is a file; a store is a folder"):
        Store.open(tmp_path / "old.npz")
    with pytest.raises(StoreError, match="nothing was ever committed"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match="is a file; stores are folders"):
        in_memory({}).save(tmp_path / "old.npz")
    with pytest.raises(StoreError, match=r"no store, but it holds 'old.npz'"):
        in_memory({}).save(tmp_path)
    with pytest.raises(StoreError, match=r"nowhere.*cannot write the store"):
        in_memory({}).save(tmp_path / "nowhere" / "store")


def test_another_format(tmp_path: Path) -> None:
    from cascaderank.store.manifest import _digest

    in_memory({}).save(tmp_path / "store")
    file = tmp_path / "store" / MANIFEST
    body = json.dumps({**json.loads(file.read_text())["store"], "format": 99})
    file.write_text(f'{{"sha256": "{_digest(body)}", "store": {body}}}')
    with pytest.raises(StoreError, match="store format 99, this version reads 2"):
        Store.open(tmp_path / "store")


def test_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    store = in_memory(documents_of(5))
    store.save(tmp_path / "store")
    shutil.copytree(tmp_path / "store", tmp_path / "sealed")
    for item in (tmp_path / "sealed").iterdir():
        item.chmod(0o444)
    (tmp_path / "sealed").chmod(0o555)
    try:
        found = Store.open(tmp_path / "sealed")
        assert content(found) == content(store)
        assert found.verify()
        if os.geteuid() == 0:
            pytest.skip("the superuser may write anywhere: only reading was tested")
        with pytest.raises(StoreError, match="cannot write the store"):
            Writer(tmp_path / "sealed")
    finally:
        (tmp_path / "sealed").chmod(0o755)


def test_arrays_of_an_open_store_are_read_only(tmp_path: Path) -> None:
    in_memory(documents_of(5)).save(tmp_path / "store")
    for values in Store.open(tmp_path / "store").segments[0].arrays.values():
        assert not values.flags.writeable


def test_part_and_schema_must_agree() -> None:
    with pytest.raises(KeyError):
        Store.of(schema(vectors={"other": 3}), [part_of({"a": "b"})])
