"""Writes one segment's files, a block of documents at a time; memory holds a block, not the segment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cascaderank.errors import StoreError
from cascaderank.kernels import index_ids
from cascaderank.store.columns import Block, Cursor, Schema, columns, decode_ids
from cascaderank.store.files import FileWriter, map_array
from cascaderank.store.manifest import SegmentRecord
from cascaderank.store.segment import TABLE


class SegmentWriter:
    """``add`` blocks, then ``finish``; or ``abandon``. Nothing of it exists for readers until a manifest names it."""

    def __init__(self, folder: Path, number: int, schema: Schema) -> None:
        self.number = number
        self.count = 0
        self._folder = folder
        self._cursor = Cursor(schema)
        self._files: dict[str, FileWriter] = {}
        try:
            for name in columns(schema):
                self._files[name] = FileWriter(folder / file_name(number, name))
            self._append(self._cursor.start())
        except OSError:
            self.abandon()
            raise

    def _append(self, placed: Block) -> None:
        for name, values in placed.items():
            self._files[name].append(values)

    def add(self, block: Block) -> None:
        self._append(self._cursor.place(block))
        self.count += len(block["checksums"])

    def finish(self) -> SegmentRecord:
        """Index the ids and wait until the disk has every file. Raises ``StoreError`` for an id added twice."""
        records = {name: file.finish() for name, file in self._files.items()}
        offsets = map_array(self._folder, records["ids.offsets"], "int64", (self.count + 1,))
        ids = map_array(self._folder, records["ids"], "uint8", (records["ids"].size,))
        try:
            table = index_ids(ids, offsets)
        except ValueError as error:
            row = int(str(error).partition("[")[2].partition("]")[0])
            name = decode_ids(ids[offsets[row] : offsets[row + 1]], np.array([0, offsets[row + 1] - offsets[row]]))[0]
            raise StoreError(f"{self._folder}: id {name!r} was added twice; ids must be unique") from None
        file = self._files[TABLE] = FileWriter(self._folder / file_name(self.number, TABLE))
        file.append(table)
        records[TABLE] = file.finish()
        return SegmentRecord(self.number, self.count, records)

    def abandon(self) -> None:
        for file in self._files.values():
            file.abandon()
            file.path.unlink(missing_ok=True)


def file_name(number: int, column: str) -> str:
    return f"{number:08d}.{column}"
