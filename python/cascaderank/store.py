"""Tokens and vectors computed ahead for known documents, bound to the models that made them, in one file."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.documents import Candidates
from cascaderank.errors import StoreError
from cascaderank.kernels import Int64, Ragged

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """Late-interaction vectors float32 ``[tokens, dimension]``; document ``r`` owns rows ``cu_seqlens[r:r + 2]``."""

    vectors: NDArray[np.float32]
    cu_seqlens: Int64


class Store:
    """What is known of documents before any request; made by ``Cascade.encode``, read-only, safe to share.

    ``tokens`` is keyed by tokenizer (its sha256 and the document prefix), ``vectors`` (float32 ``[n, dimension]``) and
    ``token_vectors`` by the digest of the model. ``checksums`` are crc32 of the texts, so that a text that changed
    since is noticed.
    """

    def __init__(
        self,
        ids: Sequence[str],
        checksums: Int64,
        tokens: Mapping[str, Ragged],
        vectors: Mapping[str, NDArray[np.float32]],
        token_vectors: Mapping[str, TokenVectors],
        models: Mapping[str, str],
    ) -> None:
        self.ids = tuple(ids)
        self.checksums = checksums
        self.tokens = dict(tokens)
        self.vectors = dict(vectors)
        self.token_vectors = dict(token_vectors)
        self.models = dict(models)  # digest -> name, for messages
        self._rows = {identifier: row for row, identifier in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, candidates: Candidates) -> Int64:
        """Row of each candidate, int64 ``[n]``, -1 where the store does not know the id.

        Raises ``StoreError`` when a request by ids alone names an unknown one, or a text differs from the stored one.
        """
        if not candidates.size:
            return np.empty(0, np.int64)
        if not candidates.ids:
            raise StoreError("store: the documents have no ids; give dicts with 'id' and 'text', or ids=[...]")
        get = self._rows.get
        rows = np.fromiter((get(name, -1) for name in candidates.ids), np.int64, count=candidates.size)
        if not candidates.texts:
            unknown = np.flatnonzero(rows < 0)
            if unknown.size:
                index = int(unknown[0])
                raise StoreError(
                    f"ids[{index}]: {candidates.ids[index]!r} is not in the store of {len(self)} documents"
                )
            return rows
        seen = np.fromiter((_checksum(text) for text in candidates.texts), np.int64, count=candidates.size)
        known = np.flatnonzero(rows >= 0)
        changed = known[self.checksums[rows[known]] != seen[known]]
        if changed.size:
            raise StoreError(
                f"{candidates.describe(int(changed[0]))}: its text is not the one the store was made from "
                f"({changed.size} such); encode the documents again, or leave store= out"
            )
        return rows

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one file, replacing an older one only when the new one is complete."""
        target = Path(path)
        arrays: dict[str, NDArray[Any]] = {"checksums": self.checksums}
        header: dict[str, Any] = {"format": _FORMAT, "ids": self.ids, "models": self.models}
        header["tokens"], header["vectors"], header["token_vectors"] = [], [], []
        for number, (key, ragged) in enumerate(self.tokens.items()):
            header["tokens"].append(key)
            arrays[f"tokens{number}.ids"] = ragged.ids.astype(np.int32)
            arrays[f"tokens{number}.cu_seqlens"] = ragged.cu_seqlens
        for number, (key, matrix) in enumerate(self.vectors.items()):
            header["vectors"].append(key)
            arrays[f"vectors{number}"] = matrix
        for number, (key, late) in enumerate(self.token_vectors.items()):
            header["token_vectors"].append(key)
            arrays[f"token_vectors{number}"] = late.vectors
            arrays[f"token_vectors{number}.cu_seqlens"] = late.cu_seqlens
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as stream:
                # Typed as positional bools by NumPy's stub, so the arrays cannot be passed as keywords.
                np.savez(stream, **arrays)  # type: ignore[arg-type]
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(f"{target}: cannot write the store: {error.strerror or error}") from None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Store:
        """Read a file that ``save`` wrote; raises ``StoreError`` when it is damaged, foreign or of another format."""
        try:
            # Opened here: numpy leaves its own handle open when the archive is damaged.
            with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}  # reading checks each member's CRC
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != _FORMAT:
                raise StoreError(f"{path}: store format {header['format']}, this version reads {_FORMAT}; encode again")
            return cls(
                header["ids"],
                arrays["checksums"],
                {
                    key: Ragged(arrays[f"tokens{i}.ids"].astype(np.int64), arrays[f"tokens{i}.cu_seqlens"])
                    for i, key in enumerate(header["tokens"])
                },
                {key: arrays[f"vectors{i}"] for i, key in enumerate(header["vectors"])},
                {
                    key: TokenVectors(arrays[f"token_vectors{i}"], arrays[f"token_vectors{i}.cu_seqlens"])
                    for i, key in enumerate(header["token_vectors"])
                },
                header["models"],
            )
        except OSError as error:
            raise StoreError(f"{path}: cannot read the store: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{path}: not a complete store file ({error}); encode the documents again") from None


def checksums(texts: Sequence[str]) -> Int64:
    """crc32 of each text's UTF-8 form, int64 ``[n]``."""
    return np.fromiter((_checksum(text) for text in texts), np.int64, count=len(texts))


def _checksum(text: str) -> int:
    return zlib.crc32(text.encode())
