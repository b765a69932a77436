"""Whoever scores (query, document) pairs, and who could not take part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Score = Callable[[str, list[str]], np.ndarray]


class Absent(Exception):
    """This library cannot take part, and why."""


@dataclass(frozen=True, slots=True)
class Contender:
    """``score(query, texts)`` gives one number per text, float ``[texts]``, in the order of the texts. ``squashed``: it
    gives sigmoids of logits and nothing else. ``ours`` tells cascaderank from its peers."""

    name: str
    precision: str
    score: Score
    squashed: bool = False
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Files:
    """One model in every form somebody reads: a Hugging Face folder with ``onnx/model.onnx`` and
    ``onnx/model_int8.onnx`` in it, and cascaderank's two folders, which hold the same two graphs."""

    torch: Path
    fp32: Path
    int8: Path

    def graph(self, precision: str) -> str:
        return "onnx/model.onnx" if precision == "fp32" else f"onnx/model_{precision}.onnx"

    def folder(self, precision: str) -> Path:
        return self.fp32 if precision == "fp32" else self.int8
