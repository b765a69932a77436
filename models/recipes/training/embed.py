"""Vectors by a shipped bi-encoder, kept in a cache, for mining and for distilling."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.progress import track

from exporting.runtime import mean_pool, session
from texts.pairs import PairEncoder, clean_tokenizer, feed


class Embedder:
    """A shipped bi-encoder, one text per run."""

    def __init__(self, model: Path) -> None:
        self._encoder, self._runner = (
            PairEncoder(clean_tokenizer(model / "tokenizer.json")),
            session(model / "model.onnx"),
        )

    def vector(self, text: str) -> np.ndarray:
        """Unit vector float32 [size]."""
        arrays = feed([self._encoder.single(text)])
        return mean_pool(self._runner.run(None, arrays)[0], arrays["attention_mask"])[0]


def embed(texts: list[str], model: Path, title: str = "embedding") -> np.ndarray:
    """Unit vectors float32 [texts, size], one text per run over two threads."""
    embedder = Embedder(model)
    with ThreadPoolExecutor(2) as workers:
        return np.stack(list(track(workers.map(embedder.vector, texts), title, total=len(texts))))


def cached_vectors(texts: list[str], model: Path, cache: Path, title: str) -> np.ndarray:
    """The same, read again where `cache` has them for exactly these texts and this model."""
    digest = hashlib.sha256((model / "model.onnx").read_bytes())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    kept = cache / f"vectors.{title}.{digest.hexdigest()[:12]}.npy"
    if not kept.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial.npy")
        np.save(partial, embed(texts, model, title).astype(np.float16))
        partial.replace(kept)
    return np.load(kept).astype(np.float32)
