"""A model folder run by the engine itself: its tokenizer, packing, session and stage, without a cascade around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cascaderank.config import Stage
from cascaderank.errors import InputError
from cascaderank.export.pairs import Pair
from cascaderank.golden import make_request, raw_logits
from cascaderank.kernels import Int64
from cascaderank.manifest import PAIRED
from cascaderank.model import ModelSpec
from cascaderank.schedule import Workers
from cascaderank.stages import BiEncoder, Counts, Loader
from cascaderank.stages.base import ModelPart

Float32 = NDArray[np.float32]


class Engine:
    """Scores with one model folder on the CPU; ``max_rows`` rows share a micro-batch (1: every row alone).

    ``provider`` and ``precision`` are a stage's.

    Close it, or use it as a context manager. Raises what loading a stage raises.
    """

    def __init__(
        self,
        folder: Path,
        max_rows: int = 1,
        workers: int | None = None,
        *,
        provider: str = "cpu",
        precision: str | None = None,
    ) -> None:
        self._workers = Workers(workers)
        try:
            stage = Stage(folder, 1, precision=precision, provider=provider, max_rows=max_rows, token_budget=1 << 20)
            self.scorer = Loader(self._workers, None).load(stage)
        except BaseException:
            self._workers.close()
            raise
        self.part: ModelPart = self.scorer.part
        self.spec: ModelSpec = self.part.spec

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._workers.close()

    def count_tokens(self, text: str) -> int:
        """A text's own tokens, without special ones."""
        return len(self.scorer.part.tokenizer.encode(text))

    def query_limit(self) -> int:
        """Tokens a query of the parity pairs may have: what the engine takes, and no more than half of the window."""
        part, spec = self.scorer.part, self.spec
        if spec.kind in PAIRED:
            room = part.query_room(part.template(spec.input.pair))
        else:
            room = (spec.output.query_length or spec.max_length) - (len(spec.input.query) - 1)
        room -= self.count_tokens(spec.input.query_wording().around(""))
        return max(min(room, spec.max_length // 2), 1)

    def rank_logits(self, query: str, documents: Sequence[str]) -> Float32:
        """``raw_logits`` of one query's documents, float32 ``[documents]``."""
        return self.logits([(query, document) for document in documents])

    def logits(self, pairs: Sequence[Pair]) -> Float32:
        """``raw_logits`` of each pair, float32 ``[pairs]``; pairs of one query go as one request."""
        return raw_logits(self.scorer, pairs)

    def vectors(self, texts: Sequence[str], side: str) -> Float32:
        """Bi-encoder: float32 ``[texts, dimension]``; ``side`` is "query" or "document"."""
        scorer, part = self.scorer, self.scorer.part
        if not isinstance(scorer, BiEncoder):
            raise InputError(f"model {self.spec.name!r} is a {self.spec.kind}; vectors come from a bi_encoder")
        form = self.spec.input
        query = side == "query"
        wording, template = (form.query_wording(), form.query) if query else (form.document_wording, form.document)
        tokens = part.tokenizer.encode_many([wording.around(text) for text in texts])
        rows: Int64 = np.arange(len(texts))
        vectors, _ = scorer.encode(tokens, rows, part.template(template), make_request("-", []), Counts())
        return vectors
