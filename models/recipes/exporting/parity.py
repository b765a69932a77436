"""The texts of the parity gate, and what a model makes of them in torch and in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from texts.data import Collection, read_collection
from texts.pairs import INPUTS, PairEncoder, feed

TOLERANCE = 1e-4
ODD = (  # what breaks models: nothing, one token, other scripts, joined characters, symbols, endless words
    ("a", ""),
    ("", "a document for an empty query"),
    ("", ""),
    ("x", "x"),
    ("?", "!"),
    ("naïve café", "\uff26\uff55\uff4c\uff4c width"),
    ("чем полезен чай", "Зелёный чай богат катехинами."),
    ("東京の天気", "東京は晴れです。"),
    ("שלום", "مرحبا بالعالم"),
    ("emoji 🙂", "👩‍👩‍👧‍👦 family 🏳️‍🌈"),
    ("sort a list", "sorted(x, key=lambda p: -p[1])"),
    ("long", "word " * 400),
    ("the " * 60, "the " * 60),
    ("a" * 300, "b" * 300),
    ("tab\tand\nline", "zero\u200bwidth\u00a0space"),
    ("unit test", "[UNK]"),
)

Row = tuple[list[int], int]


def parity_rows(data: Path, encoder: PairEncoder, pairs: bool, count: int = 96) -> list[Row]:
    """`count` rows: the odd ones, then pairs of dev collections of short, middle and long texts in turn."""
    texts = list(ODD)
    sets = [read_collection(data, name, "dev") for name in ("graded-lists", "nq-qed", "medquad", "squad-sentences")]
    streams = [_texts(collection) for collection in sets]
    while len(texts) < count:
        texts.extend(next(stream) for stream in streams)
    texts = texts[:count]
    return [encoder.pair(*text) for text in texts] if pairs else [encoder.single(" ".join(text)) for text in texts]


def _texts(collection: Collection) -> Iterator[tuple[str, str]]:
    for query in collection.sample(40):
        for document in islice(collection.qrels[query], 2):
            yield collection.queries[query], collection.documents[document]


def batches(rows: list[Row], size: int) -> list[dict[str, np.ndarray]]:
    """Rows in their order as padded inputs of `size` rows; size 1 has no padding."""
    return [feed(rows[i : i + size]) for i in range(0, len(rows), size)]


def torch_outputs(model: nn.Module, inputs: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """What the source framework answers, fp32."""
    with torch.inference_mode():
        return [model(*(torch.from_numpy(array[name]) for name in INPUTS)).numpy() for array in inputs]


def onnx_outputs(session: onnxruntime.InferenceSession, inputs: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """What ONNX Runtime answers to the same inputs, of which a graph may take only some."""
    names = [given.name for given in session.get_inputs()]
    return [session.run(None, {name: arrays[name] for name in names})[0] for arrays in inputs]


def check_parity(
    model: nn.Module,
    session: onnxruntime.InferenceSession,
    rows: list[Row],
    read: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> dict[str, object]:
    """The gate: fp32 ONNX against torch, alone and in padded batches of 8. Raises ValueError beyond the tolerance.

    `read` turns an output and its attention mask into what is compared (logits, or the tokens' vectors)."""
    differences: list[np.ndarray] = []
    for size in (1, 8):
        inputs = batches(rows, size)
        for a, b, arrays in zip(torch_outputs(model, inputs), onnx_outputs(session, inputs), inputs, strict=True):
            attended = arrays["attention_mask"]
            differences.append(np.abs(read(a, attended) - read(b, attended)).ravel())
    every = np.concatenate(differences)
    if not np.isfinite(every).all() or every.max() > TOLERANCE:
        raise ValueError(f"fp32 ONNX differs from torch by {every.max():.2e}, allowed {TOLERANCE}; no manifest written")
    return {
        "reference": f"torch {torch.__version__.split('+')[0]} fp32, transformers BertModel",
        "pairs": len(rows),
        "max_abs_diff": float(f"{every.max():.3g}"),
        "mean_abs_diff": float(f"{every.mean():.3g}"),
        "tolerance": TOLERANCE,
    }
