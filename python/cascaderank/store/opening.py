"""From a manifest to mapped segments; every file is looked at, none is read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import StoreError
from cascaderank.kernels import id_table_size
from cascaderank.store.columns import Array, Schema, columns
from cascaderank.store.files import map_array
from cascaderank.store.manifest import Manifest, SegmentRecord, read_manifest
from cascaderank.store.segment import TABLE, Segment

_TRIES = 8  # a writer would have to commit so often while one reader opens a few files


def open_segments(folder: Path, known: Mapping[str, Segment] | None = None) -> tuple[Manifest, list[Segment]]:
    """The committed state; ``known`` are segments that are open already, by ``SegmentRecord.state``.

    A writer that commits in between may have removed a file just named: then the newer manifest is read. Raises
    ``StoreError`` naming the file that is missing or has the wrong size.
    """
    if sys.byteorder != "little":
        raise StoreError(f"{folder}: stores are little-endian files and this machine is not")
    manifest = read_manifest(folder)
    for _ in range(_TRIES):
        try:
            return manifest, [
                (known or {}).get(record.state) or open_segment(folder, manifest.schema, record)
                for record in manifest.segments
            ]
        except FileNotFoundError as error:
            newer = read_manifest(folder)
            if newer.generation == manifest.generation:
                raise StoreError(
                    f"{error.filename}: named in the manifest but missing; restore the file, or {manifest.remedy}"
                ) from None
            manifest = newer
        except OSError as error:
            raise StoreError(f"{error.filename}: cannot read the store: {error.strerror or error}") from None
    raise StoreError(f"{folder}: changed {_TRIES} times while it was being opened; try again")


def open_segment(folder: Path, schema: Schema, record: SegmentRecord) -> Segment:
    arrays: dict[str, Array] = {}
    names = columns(schema)
    # Offsets first: they say how long the columns are that they divide.
    for name in sorted(names, key=lambda name: not names[name].is_offsets):
        column = names[name]
        if column.is_offsets:
            entries = record.count + 1
        elif column.offsets is None:
            entries = record.count
        else:
            entries = int(arrays[column.offsets][-1])
        if entries < 0:
            raise StoreError(f"{folder / record.files[name].name}: its offsets end at {entries}; the store is damaged")
        arrays[name] = map_array(folder, record.files[name], column.dtype, column.shape(entries))
    arrays[TABLE] = map_array(folder, record.files[TABLE], "int64", (id_table_size(record.count),))
    deleted: NDArray[np.uint8] | None = None
    if record.deleted is not None:
        deleted = map_array(folder, record.deleted, "uint8", (record.count,))
    return Segment(schema, record.count, arrays, deleted)
