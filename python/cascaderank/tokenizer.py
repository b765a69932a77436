"""The only module that imports ``tokenizers``: texts -> flat token ids. Special tokens and truncation are packing's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import tokenizers

from cascaderank.errors import InputError, ModelError
from cascaderank.kernels import Int64, Ragged
from cascaderank.model import ModelSpec


class TextTokenizer:
    """One ``tokenizer.json``; ``digest`` is its sha256, so stages that share a tokenizer share its tokens.

    Thread-safe: encoding does not change the library's object.
    """

    def __init__(self, path: Path, digest: str) -> None:
        try:
            inner = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001  the library raises bare Exception for any malformed file
            raise ModelError(f"{path}: not a tokenizer file of the tokenizers library: {error}") from None
        inner.no_truncation()
        inner.no_padding()
        # Text is text: a document that contains "[SEP]" gets the characters, not the token.
        inner.encode_special_tokens = True
        self._inner = inner
        self.path = path
        self.digest = digest
        self.vocab_size: int = inner.get_vocab_size(with_added_tokens=True)

    def token_id(self, token: str) -> int:
        """The id of a vocabulary entry, for templates; raises ``ModelError`` when there is none."""
        value = self._inner.token_to_id(token)
        if value is None:
            raise ModelError(f"{self.path}: the template's token {token!r} is not in the vocabulary")
        return int(value)

    def encode(self, text: str) -> Int64:
        """Token ids int64 ``[n]`` of one text, without special tokens and never truncated."""
        return np.array(self._inner.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    def encode_many(self, texts: Sequence[str]) -> Ragged:
        """Token ids of many texts, encoded in parallel by the library without the interpreter lock."""
        try:
            encodings = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        except TypeError as error:
            raise InputError(f"documents: the tokenizer takes strings only: {error}") from None
        rows = [encoding.ids for encoding in encodings]
        cu_seqlens = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=cu_seqlens[1:])
        ids = np.fromiter(chain.from_iterable(rows), np.int64, count=int(cu_seqlens[-1]))
        return Ragged(ids, cu_seqlens)


def load_tokenizer(spec: ModelSpec) -> TextTokenizer:
    """The tokenizer of a model folder, refused when it can produce ids the model has no embedding for."""
    tokenizer = TextTokenizer(spec.tokenizer_file, spec.files["tokenizer.json"])
    if tokenizer.vocab_size > spec.vocab_size:
        raise ModelError(
            f"{spec.folder}: tokenizer.json has {tokenizer.vocab_size} tokens, the model has embeddings for "
            f"{spec.vocab_size}; they do not belong together, re-export the model with its own tokenizer"
        )
    return tokenizer
