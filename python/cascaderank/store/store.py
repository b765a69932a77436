"""The store as ranking sees it: rows by id, and what lies under a row."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cascaderank.documents import Candidates
from cascaderank.errors import StoreError
from cascaderank.kernels import Int8Rows, Int64, Ragged, dot_rows, gather_ids, maxsim_rows
from cascaderank.store.columns import Part, Schema, block_of, encode_ids
from cascaderank.store.files import verify_file
from cascaderank.store.manifest import Manifest
from cascaderank.store.opening import open_segments
from cascaderank.store.segment import Segment
from cascaderank.store.truncation import Truncation, truncation

_T = TypeVar("_T")
Float32 = NDArray[np.float32]


class Store:
    """What is known of documents before any request; read-only, safe to share between threads.

    Made by ``Cascade.encode`` (in memory) or ``Store.open`` (a folder, mapped): an open store is the state that was
    committed at that moment and stays it, whatever a writer does since. A *row* is a document's place in this object
    and in no other.
    """

    def __init__(
        self, schema: Schema, segments: Sequence[Segment], path: Path | None = None, manifest: Manifest | None = None
    ) -> None:
        self.schema = schema
        self.segments = tuple(segments)
        self.path = path
        self.manifest = manifest
        self._bases = np.concatenate([np.zeros(1, np.int64), np.cumsum([s.count for s in segments], dtype=np.int64)])
        self._size = int(self._bases[-1]) if manifest is None else manifest.documents

    @classmethod
    def of(cls, schema: Schema, parts: Sequence[Part]) -> Store:
        """A store in memory. Raises ``StoreError`` for an id that occurs twice."""
        try:
            return cls(schema, [Segment.in_memory(schema, [block_of(part, schema) for part in parts])])
        except ValueError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"store: {error}; ids must be unique") from None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Store:
        """Map a store folder; takes milliseconds whatever its size, as nothing is read but the manifest and the sizes
        of files. Raises ``StoreError`` naming what is missing, damaged or of another format."""
        folder = Path(path)
        manifest, segments = open_segments(folder)
        return cls(manifest.schema, segments, folder, manifest)

    load = open  # the other half of ``save``

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a store folder of one segment; an older store there is replaced when the new one is complete."""
        from cascaderank.store.writer import save_store  # a writer reads stores, too

        save_store(self, Path(path))

    def __len__(self) -> int:
        return self._size

    @property
    def models(self) -> dict[str, str]:
        """Digest -> name of the models it was made by."""
        return dict(self.schema.models)

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids in the order of rows; reads and decodes every one of them."""
        return tuple(name for segment in self.segments for name in segment.ids(segment.alive()))

    @property
    def checksums(self) -> Int64:
        """crc32 of the texts, int64 ``[len(self)]``, in the order of ``ids``."""
        parts = [segment.arrays["checksums"][segment.alive()].astype(np.int64) for segment in self.segments]
        return np.concatenate([np.empty(0, np.int64), *parts])

    @property
    def truncated(self) -> dict[str, Truncation]:
        """Model digest -> how many documents were longer than that encoder's window, and by how many tokens."""
        found = truncation(self.schema, dict.fromkeys(self.schema.windows, np.empty(0, np.int64)))
        for segment in self.segments:
            alive = segment.alive()
            lengths = {key: np.diff(segment.tokens(key)[1])[alive] for key in self.schema.windows}
            for digest, beyond in truncation(self.schema, lengths).items():
                found[digest] += beyond
        return found

    @property
    def remedy(self) -> str:
        """What to do when the store does not fit a cascade, for messages."""
        return self.manifest.remedy if self.manifest else "encode the documents again with this cascade"

    def find(self, ids: Sequence[str]) -> Int64:
        """Row of each id, int64 ``[n]``, -1 where the store does not know it."""
        wanted, cu_wanted = encode_ids(ids)
        rows = np.full(len(ids), -1, np.int64)
        for base, segment in zip(self._bases[-2::-1].tolist(), reversed(self.segments), strict=True):
            found = self._guard(segment, segment.find, wanted, cu_wanted)
            fresh = (rows < 0) & (found >= 0)
            rows[fresh] = found[fresh] + base
        return rows

    def rows(self, candidates: Candidates) -> Int64:
        """Row of each candidate, int64 ``[n]``, -1 where the store does not know the id.

        Raises ``StoreError`` when a request by ids alone names an unknown one, or a text differs from the stored one.
        """
        if not candidates.size:
            return np.empty(0, np.int64)
        if not candidates.ids:
            raise StoreError("store: the documents have no ids; give dicts with 'id' and 'text', or ids=[...]")
        rows = self.find(candidates.ids)
        if not candidates.texts:
            unknown = np.flatnonzero(rows < 0)
            if unknown.size:
                index = int(unknown[0])
                size = "1 document" if len(self) == 1 else f"{len(self)} documents"
                raise StoreError(f"ids[{index}]: {candidates.ids[index]!r} is not in the store of {size}")
            return rows
        known = np.flatnonzero(rows >= 0)
        changed = known[
            self.checksums_of(rows[known]) != checksums([candidates.texts[index] for index in known.tolist()])
        ]
        if changed.size:
            raise StoreError(
                f"{candidates.describe(int(changed[0]))}: its text is not the one the store was made from "
                f"({changed.size} such); encode the documents again, or leave store= out"
            )
        return rows

    def checksums_of(self, rows: Int64) -> Int64:
        found = np.empty(len(rows), np.int64)
        for segment, positions, local in self._split(rows):
            found[positions] = segment.arrays["checksums"][local]
        return found

    def tokens(self, key: str, rows: Int64) -> tuple[Ragged, Int64]:
        """Token ids of some rows, and which: text ``i`` is that of ``rows[positions[i]]``. Rows of one segment come
        together, so that each is copied once."""
        parts: list[Ragged] = []
        positions: list[Int64] = []
        for segment, places, local in self._split(rows):
            parts.append(self._guard(segment, gather_ids, *segment.tokens(key), local))
            positions.append(np.arange(len(rows))[places])
        if len(parts) == 1:
            return parts[0], positions[0]
        lengths = np.concatenate([np.diff(part.cu_seqlens) for part in parts] or [np.empty(0, np.int64)])
        cu_seqlens = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        ids = np.concatenate([part.ids for part in parts] or [np.empty(0, np.int64)])
        return Ragged(ids, cu_seqlens), np.concatenate(positions or [np.empty(0, np.int64)])

    def dot(self, digest: str, query: Float32, rows: Int64) -> Float32:
        """Dot products of a query vector float32 ``[d]`` with stored vectors, read where they lie."""
        scores: Float32 = np.empty(len(rows), np.float32)
        for segment, positions, local in self._split(rows):
            scores[positions] = self._guard(segment, dot_rows, query, segment.vectors(digest), local)
        return scores

    def maxsim(self, digest: str, query: Float32, rows: Int64, length_normalize: bool) -> Float32:
        """MaxSim of query token vectors float32 ``[q, d]`` with stored token vectors, read where they lie."""
        scores: Float32 = np.empty(len(rows), np.float32)
        for segment, positions, local in self._split(rows):
            late = segment.token_vectors(digest)
            scores[positions] = self._guard(segment, maxsim_rows, query, *late, local, length_normalize)
        return scores

    def vectors(self, digest: str, rows: Int64) -> Float32:
        """Stored vectors as float32 ``[len(rows), d]``, copied: to look at them, not to score."""
        found: Float32 = np.empty((len(rows), self.schema.vectors[digest]), np.float32)
        for segment, positions, local in self._split(rows):
            kept = segment.vectors(digest)
            if isinstance(kept, Int8Rows):
                found[positions] = kept.values[local] * kept.scales[local, None]
            else:
                found[positions] = kept[local]
        return found

    def verify(self) -> int:
        """Read every file and compare it with what was written; returns the bytes read. Raises ``StoreError`` naming
        the first file that differs."""
        if self.path is None or self.manifest is None:
            return 0
        records = [record for segment in self.manifest.segments for record in segment.all_files]
        for record in records:
            verify_file(self.path, record)
        return sum(record.size for record in records)

    def _split(self, rows: Int64) -> Iterator[tuple[Segment, slice | Int64, Int64]]:
        """(segment, positions in ``rows``, rows of that segment) for the segments that have some."""
        if len(self.segments) == 1:
            yield self.segments[0], slice(None), rows
            return
        owner = np.searchsorted(self._bases, rows, side="right") - 1
        for number in np.unique(owner).tolist():
            positions = np.flatnonzero(owner == number)
            yield self.segments[number], positions, rows[positions] - self._bases[number]

    def _guard(self, segment: Segment, call: Callable[..., _T], *arguments: object) -> _T:
        """A kernel refuses offsets and scores only where the files are damaged: say which store."""
        try:
            return call(*arguments)
        except ValueError as error:
            number = self.segments.index(segment)
            raise StoreError(
                f"{self.path or 'store'}: segment {number}: {error}; `cascaderank check {self.path}` names a damaged "
                f"file; {self.remedy}"
            ) from None


def checksums(texts: Sequence[str]) -> Int64:
    """crc32 of each text's UTF-8 form, int64 ``[n]``."""
    return np.fromiter((zlib.crc32(text.encode()) for text in texts), np.int64, count=len(texts))
