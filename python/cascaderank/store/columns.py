"""What a store holds of each document, as columns: plain little-endian arrays, in memory and on disk the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import StoreError
from cascaderank.kernels import Int8Rows, Int64, Ragged, VectorRows

PRECISIONS = ("fp32", "fp16", "int8")
_NARROWEST = 1 << 16  # token ids of smaller vocabularies take 16 bits
_DTYPES = {"fp32": "float32", "fp16": "float16", "int8": "int8"}
Array = NDArray[Any]
Block = dict[str, Array]
"""Some documents' columns by name; offsets start at 0."""


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """Late-interaction vectors float32 ``[tokens, dimension]``; document ``r`` owns rows ``cu_seqlens[r:r + 2]``."""

    vectors: NDArray[np.float32]
    cu_seqlens: Int64


@dataclass(frozen=True, slots=True)
class Part:
    """Some documents as they come from encoding: ``tokens`` by tokenizer and prefix, ``vectors`` (float32 ``[n, d]``)
    and ``token_vectors`` by model digest; ``checksums`` int64 ``[n]`` are crc32 of the texts."""

    ids: Sequence[str]
    checksums: Int64
    tokens: Mapping[str, Ragged]
    vectors: Mapping[str, NDArray[np.float32]]
    token_vectors: Mapping[str, TokenVectors]


@dataclass(frozen=True, slots=True)
class Schema:
    """What every document of a store has, and which models it was made by.

    ``tokens``: tokenizer key -> dtype of its ids; ``vectors``, ``token_vectors``: model digest -> dimension;
    ``models``: digest -> name, for messages; ``precision``: how vectors are kept, one of ``PRECISIONS``. ``windows``:
    tokenizer key -> model digest -> how many of a document's tokens that encoder reads (none in a store that was made
    before they were kept).
    """

    precision: str
    tokens: Mapping[str, str]
    vectors: Mapping[str, int]
    token_vectors: Mapping[str, int]
    models: Mapping[str, str]
    windows: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def columns_by(self) -> tuple[object, ...]:
        """What decides the columns. Not the models: one that only needs tokens may change as long as its tokenizer
        stays."""
        return self.precision, dict(self.tokens), dict(self.vectors), dict(self.token_vectors)

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise StoreError(f"vectors: got {self.precision!r}, expected one of {', '.join(PRECISIONS)}")


@dataclass(frozen=True, slots=True)
class Column:
    """One array of a segment. ``width`` values an entry (0: a plain number); ``offsets`` names the column that says
    which entries are a document's, None: one entry a document. ``is_offsets``: this is such a column."""

    name: str
    dtype: str
    width: int = 0
    offsets: str | None = None
    is_offsets: bool = False

    def shape(self, entries: int) -> tuple[int, ...]:
        return (entries, self.width) if self.width else (entries,)

    @property
    def entry_bytes(self) -> int:
        return np.dtype(self.dtype).itemsize * max(self.width, 1)


def id_dtype(vocab_size: int) -> str:
    """The narrowest dtype for token ids below ``vocab_size``."""
    return "uint16" if vocab_size <= _NARROWEST else "int32"


def columns(schema: Schema) -> dict[str, Column]:
    """All columns of a segment but the table of ids, by name."""
    found = [*_ragged("ids", "uint8"), Column("checksums", "uint32")]
    dtype = _DTYPES[schema.precision]
    for number, kind in enumerate(schema.tokens.values()):
        found += _ragged(f"tokens{number}", kind)
    for number, dimension in enumerate(schema.vectors.values()):
        found.append(Column(f"vectors{number}", dtype, dimension))
        if schema.precision == "int8":
            found.append(Column(f"vectors{number}.scales", "float32"))
    for number, dimension in enumerate(schema.token_vectors.values()):
        found += _ragged(f"late{number}", dtype, dimension)
        if schema.precision == "int8":
            found.append(Column(f"late{number}.scales", "float32", offsets=f"late{number}.offsets"))
    return {column.name: column for column in found}


def _ragged(name: str, dtype: str, width: int = 0) -> list[Column]:
    offsets = f"{name}.offsets"
    return [Column(name, dtype, width, offsets), Column(offsets, "int64", is_offsets=True)]


def block_of(part: Part, schema: Schema) -> Block:
    """A part's columns, vectors narrowed to the schema's precision."""
    block: Block = {"checksums": part.checksums.astype(np.uint32)}
    block["ids"], block["ids.offsets"] = encode_ids(part.ids)
    for number, (key, dtype) in enumerate(schema.tokens.items()):
        block[f"tokens{number}"] = part.tokens[key].ids.astype(dtype)
        block[f"tokens{number}.offsets"] = part.tokens[key].cu_seqlens
    for number, digest in enumerate(schema.vectors):
        block |= _kept(f"vectors{number}", part.vectors[digest], schema, digest, part.ids)
    for number, digest in enumerate(schema.token_vectors):
        late = part.token_vectors[digest]
        block |= _kept(f"late{number}", late.vectors, schema, digest, part.ids, late.cu_seqlens)
        block[f"late{number}.offsets"] = late.cu_seqlens
    return block


def narrow(
    vectors: NDArray[np.float32], precision: str, describe: Callable[[int], str] = "vectors: row {}".format
) -> VectorRows:
    """Vectors float32 ``[n, d]`` as a store keeps them. fp16: rounded to nearest. int8: a scale per row, with which its
    largest magnitude becomes 127. Raises ``StoreError`` naming a row that fp16 cannot hold, by ``describe(row)``."""
    if precision == "fp32":
        return vectors
    if precision == "fp16":
        with np.errstate(over="ignore"):  # refused below
            halves = vectors.astype(np.float16)
        if not np.isfinite(halves).all():
            row = int(np.flatnonzero(~np.isfinite(halves).all(axis=1))[0])
            raise StoreError(
                f"{describe(row)} has the value {np.abs(vectors[row]).max()}, fp16 ends at 65504; use fp32 or int8"
            )
        return halves
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    scales = (largest / np.float32(127)).astype(np.float32)
    divisors = np.where(scales > 0, scales, np.float32(1))
    values = np.clip(np.rint(vectors / divisors[:, None]), -127, 127).astype(np.int8)
    return Int8Rows(values, scales)


def _kept(
    name: str,
    vectors: NDArray[np.float32],
    schema: Schema,
    digest: str,
    ids: Sequence[str],
    cu_seqlens: Int64 | None = None,
) -> Block:
    def describe(row: int) -> str:
        document = row if cu_seqlens is None else int(np.searchsorted(cu_seqlens, row, side="right")) - 1
        kind = "vector" if cu_seqlens is None else "token vector"
        return f"document {ids[document]!r}: its {kind} by model {schema.models.get(digest, digest)!r}"

    kept = narrow(vectors, schema.precision, describe)
    return {name: kept.values, f"{name}.scales": kept.scales} if isinstance(kept, Int8Rows) else {name: kept}


def encode_ids(ids: Sequence[str]) -> tuple[NDArray[np.uint8], Int64]:
    """Ids as UTF-8 end to end and their offsets int64 ``[n + 1]``; lone surrogates are kept, an id is only compared."""
    joined = "".join(ids)
    offsets = np.zeros(len(ids) + 1, np.int64)
    if joined.isascii():
        data = joined.encode()
        lengths = np.fromiter(map(len, ids), np.int64, count=len(ids))
    else:
        encoded = [identifier.encode("utf-8", "surrogatepass") for identifier in ids]
        data = b"".join(encoded)
        lengths = np.fromiter(map(len, encoded), np.int64, count=len(ids))
    np.cumsum(lengths, out=offsets[1:])
    return np.frombuffer(data, np.uint8), offsets


def decode_ids(data: NDArray[np.uint8], offsets: Int64) -> list[str]:
    raw = data.tobytes()
    bounds = offsets.tolist()
    return [raw[start:stop].decode("utf-8", "surrogatepass") for start, stop in pairwise(bounds)]


class Cursor:
    """Shifts the offsets of blocks so that they continue each other."""

    def __init__(self, schema: Schema) -> None:
        self._columns = columns(schema)
        self._ends = {name: 0 for name, column in self._columns.items() if column.is_offsets}

    def start(self) -> Block:
        """What columns begin with: each row of offsets with its 0."""
        return {name: np.zeros(1, np.int64) for name in self._ends}

    def place(self, block: Block) -> Block:
        """The block's columns as they are appended."""
        placed: Block = {}
        for name, column in self._columns.items():
            values = block[name]
            if column.is_offsets:
                placed[name] = values[1:] + self._ends[name]
                self._ends[name] += int(values[-1])
            else:
                placed[name] = values
        return placed
