"""The one process that changes a store folder: append, replace, delete, compact; each commit is all or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import StoreError
from cascaderank.kernels import Int64
from cascaderank.store.columns import Block, Part, Schema, block_of, encode_ids
from cascaderank.store.files import FileWriter, sync_folder, verify_file
from cascaderank.store.folder import check_schema, clean_folder, first_free_number, prepare_folder
from cascaderank.store.lock import WriteLock
from cascaderank.store.manifest import MANIFEST, Manifest, SegmentRecord, is_store, read_manifest, write_manifest
from cascaderank.store.opening import open_segments
from cascaderank.store.segment import Segment
from cascaderank.store.segment_writer import SegmentWriter, file_name
from cascaderank.store.store import Store

_COPIED = 4096  # documents copied at a time
_BEFORE = "what was committed before is as it was"
_UNCERTAIN = "whether this commit took place shows when the store is opened again: it has the old state or the new one"
_COMMITTED = "this commit took place all the same and is on the disk"


class Writer:
    """Changes become visible, all at once, by ``commit``; without it they are dropped. A context manager.

    ``schema`` makes the folder where there is no store yet, and is compared where there is one: other models are
    refused with the command that rebuilds it. ``replace`` drops what an existing store holds with the first commit.
    ``rebuild`` is the command to name in errors of readers. Raises ``StoreError`` when another writer is at work, when
    the folder holds something else, when the disk is full: what was committed stays as it is.

    An error drops what was not committed. One from the moment on that the new state may be there, Ctrl-C included,
    ends the writer: its errors say so, and a new one goes on from whichever state the folder has.
    """

    def __init__(
        self, path: str | os.PathLike[str], schema: Schema | None = None, *, replace: bool = False, rebuild: str = ""
    ) -> None:
        self.folder = Path(path)
        self._pending: SegmentWriter | None = None
        self._over = ""  # why this writer can do no more
        self._gone: dict[int, set[int]] = {}  # segment's place -> rows deleted since the last commit
        with self._written():
            prepare_folder(self.folder, schema)
            self._lock = WriteLock(self.folder)
        try:
            self._load(schema, replace, rebuild)
        except BaseException:
            self._lock.release()
            raise

    def _load(self, schema: Schema | None, replace: bool, rebuild: str) -> None:
        self._manifest: Manifest | None = None
        self._segments: list[Segment] = []
        there = is_store(self.folder)
        if there and replace:
            with suppress(StoreError):  # what is damaged may be replaced, too
                self._manifest = read_manifest(self.folder)
        elif there:
            self._manifest, self._segments = open_segments(self.folder)
            if schema is not None:
                check_schema(self.folder, schema, self._manifest)
        self._replaces = replace and self._manifest is not None
        self.schema = self._manifest.schema if self._manifest and not replace else schema
        if self.schema is None:
            raise StoreError(f"{self.folder}: no store there and no schema to make one with")
        with self._written():
            if self._manifest is not None or not there:
                clean_folder(self.folder, self._manifest)
            self._first_number = first_free_number(self.folder, self._manifest)
        self._rebuild = rebuild or (self._manifest.rebuild if self._manifest and not replace else "")

    @property
    def store(self) -> Store:
        """The committed state (empty before the first commit, and where it is to be replaced)."""
        self._check_open()
        if self._manifest is None or self._replaces:
            assert self.schema is not None  # by _load
            return Store.of(self.schema, [])
        return Store(self._manifest.schema, self._segments, self.folder, self._manifest)

    @property
    def is_new(self) -> bool:
        """Whether there is nothing yet that a commit would continue."""
        return self._manifest is None or self._replaces

    def known(self, ids: Sequence[str]) -> tuple[Int64, NDArray[np.bool_]]:
        """crc32 of the committed text of each id, int64 ``[n]``, -1 where there is none; and whether it was this writer
        that committed it."""
        store = self.store
        rows = store.find(ids)
        sums = np.full(len(ids), -1, np.int64)
        sums[rows >= 0] = store.checksums_of(rows[rows >= 0])
        return sums, rows >= sum(record.count for record in self._earlier)

    @property
    def pending(self) -> int:
        """Documents added since the last commit."""
        return self._pending.count if self._pending else 0

    def add(self, part: Part) -> None:
        """Append documents; one whose id is in the store replaces it there, with the commit."""
        assert self.schema is not None  # by _load
        self.add_block(block_of(part, self.schema))

    def add_block(self, block: Block) -> None:
        self._check_open()
        with self._written():
            for place, segment in enumerate(() if self._replaces else self._segments):
                found = segment.find(block["ids"], block["ids.offsets"])
                self._gone.setdefault(place, set()).update(found[found >= 0].tolist())
            if self._pending is None:
                assert self.schema is not None  # by _load
                self._pending = SegmentWriter(self.folder, self._next_number, self.schema)
            self._pending.add(block)

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents by id with the next commit; returns how many the committed state knows."""
        self._check_open()
        wanted = encode_ids(ids)
        count = 0
        for place, segment in enumerate(() if self._replaces else self._segments):
            found = segment.find(*wanted)
            rows = set(found[found >= 0].tolist()) - self._gone.get(place, set())
            self._gone.setdefault(place, set()).update(rows)
            count += len(rows)
        return count

    def commit(self) -> None:
        """Make what was added and deleted the store; on return it is on the disk."""
        self._check_open()
        with self._written():
            kept = () if self._replaces or self._manifest is None else self._manifest.segments
            segments = [self._with_deleted(place, record) for place, record in enumerate(kept)]
            if self._pending is not None:
                segments.append(self._pending.finish())
            self._publish(segments)

    def compact(self, first: int = 0) -> None:
        """Merge the segments from place ``first`` on into one without deleted documents, and commit.

        Raises ``StoreError`` for a file of theirs that is damaged, whose bytes would get a checksum of their own.
        """
        self._check_open()
        if self.pending or any(self._gone.values()):
            raise StoreError(f"{self.folder}: commit before compacting")
        if self._manifest is None or self._replaces:
            return
        kept, merged = self._manifest.segments[:first], self._segments[first:]
        if not merged or (len(merged) == 1 and merged[0].deleted is None):
            return
        with self._written():
            for file in (file for record in self._manifest.segments[first:] for file in record.all_files):
                verify_file(self.folder, file)
            self._pending = SegmentWriter(self.folder, self._next_number, self._manifest.schema)
            for segment in merged:
                rows = segment.alive()
                for start in range(0, len(rows), _COPIED):
                    self._pending.add(segment.block(rows[start : start + _COPIED]))
            self._publish([*kept, self._pending.finish()])

    def compact_tail(self, *, of_this_writer: bool = False) -> None:
        """Merge the newest segments as long as the one before them is at most twice as large, so that a store of n
        documents has about log(n) segments and a document is copied about as often. ``of_this_writer``: leave those
        alone that were there before."""
        counts = [segment.count for segment in self._segments]
        first, total = len(counts) - 1, counts[-1] if counts else 0
        oldest = len(self._earlier) if of_this_writer else 0
        while first > oldest and counts[first - 1] <= 2 * total:
            first -= 1
            total += counts[first]
        if len(counts) - first > 1:
            self.compact(first)

    def close(self) -> None:
        """Drop what was not committed and let others write."""
        self._drop()
        self._over = self._over or "it was closed"
        self._lock.release()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _states(self) -> list[str]:
        return [record.state for record in self._manifest.segments] if self._manifest else []

    @property
    def _next_number(self) -> int:
        return self._manifest.next_number if self._manifest else self._first_number

    @property
    def _earlier(self) -> list[SegmentRecord]:
        """The segments that were there before this writer; they come first."""
        records = self._manifest.segments if self._manifest and not self._replaces else ()
        return [record for record in records if record.number < self._first_number]

    def _with_deleted(self, place: int, record: SegmentRecord) -> SegmentRecord:
        gone = self._gone.get(place)
        if not gone:
            return record
        old = self._segments[place].deleted
        flags: NDArray[np.uint8] = np.zeros(record.count, np.uint8) if old is None else old.copy()
        flags[np.fromiter(gone, np.int64, count=len(gone))] = 1
        generation = self._manifest.generation + 1 if self._manifest else 1
        file = FileWriter(self.folder / file_name(record.number, f"deleted{generation}"))
        file.append(flags)
        return replace(record, deleted=file.finish(), deleted_count=int(flags.sum()))

    def _publish(self, segments: Sequence[SegmentRecord]) -> None:
        assert self.schema is not None  # by _load
        sync_folder(self.folder)  # the new files are found before anything names them
        generation = self._manifest.generation + 1 if self._manifest else 1
        number = self._next_number + (1 if self._pending is not None else 0)
        alive = tuple(record for record in segments if record.count > record.deleted_count)
        written = write_manifest(self.folder, Manifest(generation, number, self.schema, self._rebuild, alive))
        # From here on store.json may name the new files, so nobody may remove or rewrite them who does not read it.
        self._over = _UNCERTAIN
        written.replace(self.folder / MANIFEST)
        sync_folder(self.folder)
        self._over = _COMMITTED
        self._pending = None
        self._gone = {}
        known = {} if self._replaces else dict(zip(self._states, self._segments, strict=True))
        self._replaces = False
        self._manifest, self._segments = open_segments(self.folder, known)
        clean_folder(self.folder, self._manifest)
        self._over = ""

    def _check_open(self) -> None:
        if self._over:
            raise StoreError(f"{self.folder}: this writer is over: {self._over}; go on with a new one")

    def _drop(self) -> None:
        if self._pending is not None and not self._over:
            with suppress(OSError):
                self._pending.abandon()
        self._pending = None
        self._gone = {}

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._drop()
            if isinstance(error, OSError):
                what = f"{error.filename or self.folder}: cannot write the store: {error.strerror or error}"
            elif isinstance(error, StoreError) and self._over:
                what = str(error)
            else:
                raise
            raise StoreError(f"{what}; {self._over or _BEFORE}") from None


def save_store(store: Store, path: Path) -> None:
    """``Store.save``: all documents of ``store`` as the one segment of the folder ``path``."""
    rebuild = store.manifest.rebuild if store.manifest else ""
    with Writer(path, store.schema, replace=True, rebuild=rebuild) as writer:
        store.verify()  # before its bytes get checksums of their own
        for segment in store.segments:
            rows = segment.alive()
            for start in range(0, len(rows), _COPIED):
                writer.add_block(segment.block(rows[start : start + _COPIED]))
        writer.commit()
