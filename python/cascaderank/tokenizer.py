"""The only module that imports ``tokenizers``: texts -> flat token ids. Special tokens and truncation are packing's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cascaderank.errors import InputError, ModelError
from cascaderank.kernels import Int64, Ragged, WordPiece, encode_texts
from cascaderank.model import ModelSpec
from cascaderank.threads import available_cores
from cascaderank.token_cache import CacheCounts, TokenCache
from cascaderank.wordpiece import Unsupported, read_wordpiece

_BYTES_PER_THREAD = 1 << 18  # text that is worth another thread: some milliseconds of work; a request has less


class _Encoder(Protocol):
    vocab_size: int

    def encode(self, texts: list[str]) -> Ragged: ...
    def find(self, token: str) -> int: ...


class TextTokenizer:
    """One ``tokenizer.json``; ``digest`` is its sha256, so stages that share a tokenizer share its tokens. Every id is
    below ``vocab_size``.

    WordPiece files are encoded natively where that gives exactly what the tokenizers library gives; every other file by
    that library, behind a cache for texts that repeat. ``native`` says which, ``description`` also why. Thread-safe.
    """

    def __init__(self, path: Path, digest: str, *, native: bool = True, cache_bytes: int = 0) -> None:
        """``native=False`` takes the library whatever the file. ``cache_bytes`` bounds the cache of a tokenizer that is
        not native, 0: none; beside the native one looking a text up costs more than it saves (bench/README.md).
        Raises ``ModelError`` for a file that cannot be read."""
        self._encoder: _Encoder
        try:
            if not native:
                raise Unsupported("asked for")
            self._encoder = _Native(*read_wordpiece(path))
            self.native, self.description = True, "native WordPiece"
        except Unsupported as reason:
            self._encoder = _Library(path)
            self.native, self.description = False, f"tokenizers library ({reason})"
        self._cache = TokenCache(cache_bytes) if cache_bytes > 0 and not self.native else None
        self.path = path
        self.digest = digest
        self.vocab_size: int = self._encoder.vocab_size

    def token_id(self, token: str) -> int:
        """The id of a vocabulary entry, for templates; raises ``ModelError`` when there is none."""
        value = self._encoder.find(token)
        if value < 0:
            raise ModelError(f"{self.path}: the template's token {token!r} is not in the vocabulary")
        return value

    def encode(self, text: str) -> Int64:
        """Token ids int64 ``[n]`` of one text, without special tokens and never truncated."""
        return self.encode_many([text]).ids

    def encode_many(self, texts: Sequence[str]) -> Ragged:
        """Token ids of many texts, encoded without the interpreter lock.

        Raises ``InputError`` for what is no string or has no UTF-8 form (a lone surrogate).
        """
        try:
            if self._cache is not None:
                return self._cache.encode(list(texts), self._encoder.encode)
            return self._encoder.encode(list(texts))
        except (TypeError, ValueError) as error:
            raise InputError(f"documents: the tokenizer takes strings only: {error}") from None

    @property
    def cache_counts(self) -> CacheCounts | None:
        """What the cache did so far; None where there is none."""
        return None if self._cache is None else self._cache.counts()


class _Native:
    """The core's WordPiece; large batches are shared out among the cores that other requests' leave."""

    def __init__(self, wordpiece: WordPiece, vocab_size: int) -> None:
        self._wordpiece = wordpiece
        self.vocab_size = vocab_size
        self._cores = available_cores()
        self._lock = threading.Lock()
        self._encoding = 0  # calls under way

    def find(self, token: str) -> int:
        return self._wordpiece.find(token)

    def encode(self, texts: list[str]) -> Ragged:
        with self._lock:
            self._encoding += 1
            threads = max(1, self._cores // self._encoding)
        try:
            return encode_texts(self._wordpiece, texts, threads, _BYTES_PER_THREAD)
        finally:
            with self._lock:
                self._encoding -= 1


class _Library:
    """The tokenizers library, for every file of its own; in parallel by threads of its own."""

    def __init__(self, path: Path) -> None:
        import tokenizers  # here, since a cascade of native tokenizers never needs it

        try:
            inner: Any = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001  the library raises bare Exception for any malformed file
            raise ModelError(f"{path}: not a tokenizer file of the tokenizers library: {error}") from None
        inner.no_truncation()
        inner.no_padding()
        # Text is text: a document that contains "[SEP]" gets the characters, not the token.
        inner.encode_special_tokens = True
        self._inner = inner
        # Not how many there are: ids may have holes.
        self.vocab_size: int = max(inner.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    def find(self, token: str) -> int:
        value = self._inner.token_to_id(token)
        return -1 if value is None else int(value)

    def encode(self, texts: list[str]) -> Ragged:
        rows = [encoding.ids for encoding in self._inner.encode_batch_fast(texts, add_special_tokens=False)]
        cu_seqlens = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=cu_seqlens[1:])
        return Ragged(np.fromiter(chain.from_iterable(rows), np.int64, count=int(cu_seqlens[-1])), cu_seqlens)


def load_tokenizer(spec: ModelSpec, cache_bytes: int = 0) -> TextTokenizer:
    """The tokenizer of a model folder, refused when it can produce ids the model has no embedding for."""
    tokenizer = TextTokenizer(spec.tokenizer_file, spec.files["tokenizer.json"], cache_bytes=cache_bytes)
    if tokenizer.vocab_size > spec.vocab_size:
        raise ModelError(
            f"{spec.folder}: tokenizer.json has ids up to {tokenizer.vocab_size - 1}, the model has embeddings for "
            f"{spec.vocab_size} tokens; they do not belong together, re-export the model with its own tokenizer"
        )
    return tokenizer
