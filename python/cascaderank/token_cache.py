"""A bounded memory of texts that were tokenised lately, for tokenizers that are slower than looking a text up."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cascaderank.kernels import Int64, Ragged

_ENTRY = 256  # bytes that an entry takes beside its text and ids: the array's head and its place in the table


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Texts served from the cache and texts encoded, since it was made; what it holds now, and may hold (bytes)."""

    hits: int
    misses: int
    texts: int
    bytes: int
    limit: int


class TokenCache:
    """Texts and their token ids, the least recently used dropped first once ``limit`` bytes are reached. Thread-safe;
    texts are encoded outside its lock, so two threads may encode the same one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rows: OrderedDict[str, Int64] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = self._hits = self._misses = 0

    def encode(self, texts: list[str], encode: Callable[[list[str]], Ragged]) -> Ragged:
        """The token ids of ``texts``, those that are not known from ``encode``, called at most once."""
        with self._lock:
            rows = [self._rows.get(text) for text in texts]
            missing = [text for text, row in zip(texts, rows, strict=True) if row is None]
            self._hits += len(texts) - len(missing)
            self._misses += len(missing)
            for text, row in zip(texts, rows, strict=True):
                if row is not None:
                    self._rows.move_to_end(text)
        if not missing:
            return _joined([row for row in rows if row is not None])
        made = encode(missing)
        bounds = made.cu_seqlens.tolist()
        # Copies: a view would keep the whole batch.
        fresh = [made.ids[start:end].copy() for start, end in pairwise(bounds)]
        self._keep(missing, fresh)
        if len(missing) == len(texts):
            return made
        encoded = iter(fresh)
        return _joined([next(encoded) if row is None else row for row in rows])

    def counts(self) -> CacheCounts:
        with self._lock:
            return CacheCounts(self._hits, self._misses, len(self._rows), self._bytes, self._limit)

    def _keep(self, texts: list[str], rows: list[Int64]) -> None:
        with self._lock:
            for text, row in zip(texts, rows, strict=True):
                size = _size(text, row)
                # One huge text must not empty the cache.
                if text not in self._rows and size <= self._limit // 8:
                    self._rows[text] = row
                    self._bytes += size
            while self._bytes > self._limit:
                text, row = self._rows.popitem(last=False)
                self._bytes -= _size(text, row)


def _size(text: str, row: Int64) -> int:
    # By length and widest character, not getsizeof: that grows once Python has made the UTF-8 form, and sizes must
    # come off as they went on.
    width = 1 if text.isascii() else 4
    return len(text) * width + row.nbytes + _ENTRY


def _joined(rows: list[Int64]) -> Ragged:
    cu_seqlens = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=cu_seqlens[1:])
    return Ragged(np.concatenate(rows) if rows else np.empty(0, np.int64), cu_seqlens)
