"""The demo's cache of vectors: used when it fits, computed again and said when not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Document, Stage, Store
from cascaderank.demo.vectors import cache_folder, cache_store, load_or_encode

DOCUMENTS = [Document("a", "red cat"), Document("b", "green fish"), Document("c", "blue dog")]


@pytest.fixture
def cascade(cascade_file: Path) -> Iterator[Cascade]:
    with Cascade.load(cascade_file) as loaded:
        yield loaded


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cascaderank"


def test_computed_once_then_read(cascade: Cascade, empty_cache: Path) -> None:
    calls: list[tuple[int, int]] = []
    first = load_or_encode(cascade, DOCUMENTS, progress=lambda done, total: calls.append((done, total)))
    assert (first.computed, first.note) == (True, "")
    assert first.path == cache_store(cascade, DOCUMENTS)
    assert first.path.parent == empty_cache
    assert calls == [(3, 3)]
    second = load_or_encode(cascade, DOCUMENTS, progress=lambda done, total: calls.append((done, total)))
    assert (second.computed, second.path, second.note) == (False, first.path, "")
    assert len(calls) == 1
    digest, rows = cascade.models[0].digest, np.arange(3)
    np.testing.assert_array_equal(first.store.vectors(digest, rows), second.store.vectors(digest, rows))


def test_without_cache_nothing_is_written(cascade: Cascade, empty_cache: Path) -> None:
    found = load_or_encode(cascade, DOCUMENTS, use_cache=False)
    assert found.computed
    assert not empty_cache.exists()


def test_other_texts_and_other_models_have_other_files(cascade: Cascade, models: Path) -> None:
    changed = [replace(DOCUMENTS[0], text="red dog"), *DOCUMENTS[1:]]
    assert cache_store(cascade, changed) != cache_store(cascade, DOCUMENTS)
    with Cascade([Stage(models / "late", keep=2)]) as other:
        assert cache_store(other, DOCUMENTS) != cache_store(cascade, DOCUMENTS)


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_damaged_file_is_computed_again_and_said(damage: str, cascade: Cascade) -> None:
    path = load_or_encode(cascade, DOCUMENTS).path
    assert path is not None
    file = path / "00000001.vectors0"
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[: len(whole) // 2], "garbage": b"\x00" * 500, "empty": b""}[damage])
    found = load_or_encode(cascade, DOCUMENTS)
    assert found.computed
    assert "computed again" in found.note
    assert path.name in found.note
    assert not load_or_encode(cascade, DOCUMENTS).computed  # replaced by a sound one


def test_foreign_files_are_refused(cascade: Cascade, models: Path) -> None:
    path = cache_store(cascade, DOCUMENTS)
    path.parent.mkdir(parents=True)
    with Cascade([Stage(models / "ce", keep=2)]) as other:
        foreign = {
            "other documents": cascade.encode(DOCUMENTS[:2]),
            "other texts": cascade.encode([replace(DOCUMENTS[0], text="red dog"), *DOCUMENTS[1:]]),
            "without model 'bi'": other.encode(DOCUMENTS),
        }
    for said, store in foreign.items():
        store.save(path)
        found = load_or_encode(cascade, DOCUMENTS)
        assert found.computed
        assert said in found.note
        assert Store.open(path).ids == ("a", "b", "c")


def test_cache_that_cannot_be_written_costs_only_the_next_start(cascade: Cascade, empty_cache: Path) -> None:
    empty_cache.parent.mkdir(parents=True)
    empty_cache.write_text("a file where the folder should be", encoding="utf-8")
    found = load_or_encode(cascade, DOCUMENTS)
    assert found.computed
    assert found.path is None
    assert "could not be kept" in found.note
    assert len(found.store) == 3


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_cache_folder_without_a_usable_setting(value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "cascaderank"
