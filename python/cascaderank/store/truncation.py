"""What of known documents their encoders did not read: tokens beyond a model's window are not in its vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cascaderank.kernels import Int64
from cascaderank.store.columns import Schema


@dataclass(frozen=True, slots=True)
class Truncation:
    """Of one model: ``documents`` that were longer than its window, and their ``tokens`` beyond it."""

    documents: int = 0
    tokens: int = 0

    def __add__(self, other: Truncation) -> Truncation:
        return Truncation(self.documents + other.documents, self.tokens + other.tokens)


def truncation(schema: Schema, lengths: Mapping[str, Int64]) -> dict[str, Truncation]:
    """By model digest, of documents with ``lengths`` (tokens int64 ``[n]``, by tokenizer key)."""
    found: dict[str, Truncation] = {}
    for key, windows in schema.windows.items():
        for digest, window in windows.items():
            beyond = lengths[key][lengths[key] > window] - window
            found[digest] = Truncation(len(beyond), int(np.sum(beyond)))
    return found
