"""Embedding tables in 4 or 8 bits: rows are cut into blocks, and each block has one scale.

The words are two thirds of a small model's file. Plain ONNX operators read it back (see graph.py), so any runtime can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Table:
    """`codes` int8 [rows, size], `scales` float16 [rows, size / block]; a weight is code · scale."""

    codes: np.ndarray
    scales: np.ndarray
    bits: int

    @property
    def block(self) -> int:
        """Weights that share a scale."""
        return self.codes.shape[1] // self.scales.shape[1]

    def table(self) -> np.ndarray:
        """float32 [rows, size]: what the model really sees."""
        return self.codes.astype(np.float32) * np.repeat(self.scales.astype(np.float32), self.block, axis=1)


def quantise_table(table: np.ndarray, bits: int, block: int) -> Table:
    """float32 [rows, size] to codes. The largest weight of a block gets the code -2^(bits-1), which is exact, so
    doing it twice changes nothing."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    blocks = table.reshape(table.shape[0], -1, block)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(-1, keepdims=True), axis=-1)
    scales = (peak / low).astype(np.float16)
    divisor = np.where(scales == 0, 1, scales).astype(np.float32)
    codes = np.clip(np.rint(blocks / divisor), low, high).astype(np.int8)
    return Table(codes.reshape(table.shape), scales[..., 0], bits)
