"""Documents that were written together: their columns, read where they lie, and the flags of those deleted since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from cascaderank.kernels import Int8Rows, Int64, VectorRows, find_ids, index_ids
from cascaderank.store.columns import Array, Block, Cursor, Schema, columns, decode_ids

TABLE = "ids.table"
_DECODED = 1 << 16  # ids decoded at a time


class Segment:
    """Columns of ``count`` documents and their table of ids; ``deleted`` uint8 ``[count]``, None: nothing is.

    Read-only, so threads may share it.
    """

    def __init__(
        self, schema: Schema, count: int, arrays: Mapping[str, Array], deleted: NDArray[np.uint8] | None = None
    ) -> None:
        self.schema = schema
        self.count = count
        self.arrays = arrays
        self.deleted = deleted
        self._token_place = {key: number for number, key in enumerate(schema.tokens)}
        self._vectors = {digest: self._rows_of(f"vectors{i}") for i, digest in enumerate(schema.vectors)}
        self._late = {digest: self._rows_of(f"late{i}") for i, digest in enumerate(schema.token_vectors)}
        self._late_offsets = {digest: arrays[f"late{i}.offsets"] for i, digest in enumerate(schema.token_vectors)}

    @classmethod
    def in_memory(cls, schema: Schema, blocks: Iterable[Block]) -> Segment:
        """Blocks end to end; raises ``ValueError`` for an id that occurs twice."""
        cursor = Cursor(schema)
        names = columns(schema)
        found: dict[str, list[Array]] = {
            name: [np.empty(column.shape(0), column.dtype)] for name, column in names.items()
        }
        for placed in [cursor.start(), *(cursor.place(block) for block in blocks)]:
            for name, values in placed.items():
                found[name].append(values)
        arrays = {name: np.concatenate(values) for name, values in found.items()}
        arrays[TABLE] = index_ids(arrays["ids"], arrays["ids.offsets"])
        return cls(schema, len(arrays["checksums"]), arrays)

    def _rows_of(self, name: str) -> VectorRows:
        values = self.arrays[name]
        return Int8Rows(values, self.arrays[f"{name}.scales"]) if values.dtype == np.int8 else values

    def find(self, wanted: NDArray[np.uint8], cu_wanted: Int64) -> Int64:
        """Row of each wanted id (UTF-8, end to end), -1 where it is unknown or deleted."""
        rows = np.empty(len(cu_wanted) - 1, np.int64)
        find_ids(self.arrays["ids"], self.arrays["ids.offsets"], self.arrays[TABLE], wanted, cu_wanted, rows)
        if self.deleted is not None:
            rows[(rows >= 0) & (self.deleted[rows] != 0)] = -1
        return rows

    def tokens(self, key: str) -> tuple[Array, Int64]:
        """Token ids (uint16 or int32) end to end, and offsets int64 ``[count + 1]``."""
        number = self._token_place[key]
        return self.arrays[f"tokens{number}"], self.arrays[f"tokens{number}.offsets"]

    def vectors(self, digest: str) -> VectorRows:
        return self._vectors[digest]

    def token_vectors(self, digest: str) -> tuple[VectorRows, Int64]:
        return self._late[digest], self._late_offsets[digest]

    def alive(self) -> Int64:
        """Rows that are not deleted, ascending."""
        return np.arange(self.count) if self.deleted is None else np.flatnonzero(self.deleted == 0)

    def ids(self, rows: Int64) -> list[str]:
        found: list[str] = []
        for start in range(0, len(rows), _DECODED):
            chunk = self.block(rows[start : start + _DECODED], ("ids", "ids.offsets"))
            found += decode_ids(chunk["ids"], chunk["ids.offsets"])
        return found

    def block(self, rows: Int64, names: Iterable[str] | None = None) -> Block:
        """The named columns (all by default) of some rows, copied."""
        all_columns = columns(self.schema)
        block: Block = {}
        for name in all_columns if names is None else names:
            column = all_columns[name]
            if column.is_offsets:
                block[name] = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._lengths(name, rows))])
            elif column.offsets is None:
                block[name] = self.arrays[name][rows]
            else:
                starts, lengths = self.arrays[column.offsets][rows], self._lengths(column.offsets, rows)
                before = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)[:-1]])[: len(rows)]
                entries = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
                block[name] = self.arrays[name][entries]
        return block

    def _lengths(self, offsets: str, rows: Int64) -> Int64:
        bounds = self.arrays[offsets]
        lengths: Int64 = bounds[rows + 1] - bounds[rows]
        return lengths
