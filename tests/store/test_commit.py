"""A commit that an error or Ctrl-C meets, before, while and after the manifest is renamed: what opens is the old state
or the new one, whole, and the writer it happened to does no harm any more."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import cascaderank.store.writer
from cascaderank import Store, StoreError
from cascaderank.store import MANIFEST, Writer
from stores import content, documents_of, in_memory, part_of

ADDED = {"d2": "changed", "x": "new"}


def add(writer: Writer) -> None:
    writer.add(part_of(ADDED))
    writer.commit()


def delete(writer: Writer) -> None:
    writer.delete(["d1", "d5"])
    writer.commit()


def compact(writer: Writer) -> None:
    writer.compact()


OPERATIONS = [add, delete, compact]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two segments, a document deleted."""
    in_memory(documents_of(6)).save(tmp_path / "store")
    with Writer(tmp_path / "store") as writer:
        writer.add(part_of(documents_of(2, start=6)))
        writer.delete(["d0"])
        writer.commit()
    return tmp_path / "store"


def expected(operation: Callable[[Writer], None], before: dict[str, Any]) -> dict[str, Any]:
    if operation is delete:
        return {name: held for name, held in before.items() if name not in ("d1", "d5")}
    return {**before, **content(in_memory(ADDED))} if operation is add else before


def check_folder(folder: Path, states: list[dict[str, Any]]) -> None:
    """It opens, it is whole, and the next writer finds nothing in its way and leaves nothing over."""
    store = Store.open(folder)
    store.verify()
    assert content(store) in states
    with Writer(folder) as writer:
        writer.add(part_of({"later": "one"}))
        writer.commit()
        assert writer.store.manifest is not None
        named = {file.name for segment in writer.store.manifest.segments for file in segment.all_files}
    assert content(Store.open(folder)) in [{**state, **content(in_memory({"later": "one"}))} for state in states]
    assert {item.name for item in folder.iterdir()} == {MANIFEST, "lock", *named}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyboardInterrupt()], ids=["error", "ctrl-c"])
def test_a_folder_that_cannot_be_synced_after_the_rename(
    operation: Callable[[Writer], None], error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, manifest, sync = content(Store.open(folder)), (folder / MANIFEST).read_bytes(), os.fsync

    def fails(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) and (folder / MANIFEST).read_bytes() != manifest:
            raise error
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    with Writer(folder) as writer:
        with pytest.raises((StoreError, KeyboardInterrupt)) as caught:
            operation(writer)
        if isinstance(error, OSError):
            assert "Input/output error; whether this commit took place shows when the store is opened" in str(
                caught.value
            )
        # Going on from what it remembers would write over files that store.json names by now.
        for again in (add, delete, compact, lambda writer: writer.store):
            with pytest.raises(StoreError, match=r"this writer is over: whether this commit .* go on with a new one"):
                again(writer)
    monkeypatch.undo()
    check_folder(folder, [expected(operation, before)])


def test_files_that_cannot_be_opened_after_the_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new files are on the disk and named; it is said that they are."""
    before = content(Store.open(folder))

    def no_more_files(*_: object) -> None:
        raise StoreError("00000003.ids: cannot read the store: Too many open files")

    with Writer(folder) as writer:
        monkeypatch.setattr(cascaderank.store.writer, "open_segments", no_more_files)
        with pytest.raises(StoreError, match="Too many open files; this commit took place all the same"):
            add(writer)
        monkeypatch.undo()
        with pytest.raises(StoreError, match="this writer is over: this commit took place"):
            add(writer)
    check_folder(folder, [expected(add, before)])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file between two lines is not closed
def test_ctrl_c_at_every_line_of_a_commit(folder: Path) -> None:
    """And whoever goes on with the same writer all the same gets an error, or everything that he adds."""
    before, more = content(Store.open(folder)), content(in_memory({"more": "of it"}))
    states = [before, expected(add, before)]
    allowed = [*states, *({**state, **more} for state in states)]
    seen, line, interrupted = set[int](), 0, True
    while interrupted:
        copy = folder.with_name(f"at{line}")
        shutil.copytree(folder, copy)
        with Writer(copy) as writer:
            writer.add(part_of(ADDED))
            interrupted = ctrl_c(line, writer.commit)
            over = False
            try:
                writer.add(part_of({"more": "of it"}))
                writer.commit()
            except StoreError as error:
                over = "this writer is over" in str(error)
                assert over
        store = Store.open(copy)
        store.verify()
        seen.add(allowed.index(content(store)))
        assert over == (allowed.index(content(store)) < 2)
        line += 1
    assert line > 15
    assert seen == {0, 1, 2, 3}  # over before the rename and after it, dropped whole, committed whole


def ctrl_c(line: int, call: Callable[[], None]) -> bool:
    """Raise ``KeyboardInterrupt`` before the ``line``-th line of ``Writer.commit`` and ``_publish`` that ``call``
    executes, if it has so many."""
    executed = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal executed
        if frame.f_code not in (Writer.commit.__code__, Writer._publish.__code__):
            return None
        if event == "line":
            executed += 1
            if executed == line + 1:
                raise KeyboardInterrupt
        return trace

    earlier = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(earlier)
    return False
