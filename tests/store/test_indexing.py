"""Indexing without models: open files stay few however many documents come, and what is wrong with one names it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import cascaderank.indexing
from cascaderank import Document, Store, StoreError
from cascaderank.errors import InputError
from cascaderank.indexing import index_documents
from cascaderank.store import Part, Schema, Writer
from stores import content, documents_of, in_memory, part_of, schema


class Encoding:
    """Stands where a cascade does; ``part_of`` gives what models would."""

    def store_schema(self, vectors: str = "fp32") -> Schema:
        return schema(vectors)

    def encode_part(self, documents: Sequence[Document]) -> Part:
        return part_of({document.id: document.text for document in documents})


def given(texts: dict[str, str]) -> list[Document]:
    return [Document(name, text) for name, text in texts.items()]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascaderank.indexing, "PART", 4)


@pytest.mark.usefixtures("small_parts")
def test_open_files_stay_few(tmp_path: Path) -> None:
    """Every commit opens the files of a segment; segments are merged as the run goes."""
    documents, folder = documents_of(128), tmp_path / "store"
    earlier = in_memory(documents_of(3, start=1000))
    earlier.save(folder)
    held: list[int] = []
    before, segments = open_files(), list[int]()

    def note(_: int) -> None:
        held.append(open_files() - before)
        segments.append(len(Store.open(folder).segments))

    index_documents(Encoding(), given(documents), folder, append=True, commit_every=4, progress=note)  # type: ignore[arg-type]
    per_segment = len(Store.open(folder).manifest.segments[0].files)  # type: ignore[union-attr]
    assert len(segments) == 32
    assert max(segments) <= 7  # log2(32) and a half, and the one that was there
    assert max(held) <= 8 * (per_segment + 1)
    assert content(Store.open(folder)) == {**content(earlier), **content(in_memory(documents))}


@pytest.mark.usefixtures("small_parts")
def test_an_id_that_comes_twice_is_found_in_what_was_merged(tmp_path: Path) -> None:
    """And told from one that was there before the run: that one is replaced."""
    folder = tmp_path / "store"
    in_memory({"d0": "before", "old": "one"}).save(folder)
    documents = given(documents_of(40))
    report = index_documents(
        Encoding(), [*documents, documents[3]], folder, append=True, commit_every=4  # type: ignore[arg-type]
    )  # fmt: skip
    assert (report.added, report.unchanged, report.documents) == (40, 1, 41)
    twice = [*documents, Document("d3", "another text")]
    with pytest.raises(InputError, match="document 'd3' comes twice with different texts"):
        index_documents(Encoding(), twice, tmp_path / "new", commit_every=4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (Document("bad", "a\ud800b"), r"document 'bad': lone surrogate U\+D800 at character 1"),
        (Document("bad", None), r"document 'bad': expected a string, got NoneType"),  # type: ignore[arg-type]
        (Document(7, "text"), r"document 7: id must be a string, got int"),  # type: ignore[arg-type]
    ],
)
def test_a_document_that_is_wrong_is_named(document: Document, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        index_documents(Encoding(), [Document("a", "fine"), document], tmp_path / "store")  # type: ignore[arg-type]


def test_what_fp16_cannot_hold_names_the_document(tmp_path: Path) -> None:
    part = part_of({"a": "one", "b": "two", "c": "three"})
    part.vectors["bi"][1, 3] = 1e6
    with Writer(tmp_path / "store", schema("fp16")) as writer, pytest.raises(StoreError) as caught:
        writer.add(part)
    assert "document 'b': its vector by model 'the bi-encoder' has the value 1000000.0, fp16 ends at" in str(
        caught.value
    )
    part = part_of({"a": "one", "b": "", "c": "three"})
    late = part.token_vectors["late"]
    late.vectors[int(late.cu_seqlens[2])] = np.float32(-1e6)  # the first of c
    with pytest.raises(
        StoreError, match="document 'c': its token vector by model 'the late one' has the value 1000000"
    ):
        Store.of(schema("fp16"), [part])
