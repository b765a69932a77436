"""Encoding ahead: what a cascade's stages need of known documents -> parts of a store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cascaderank.documents import Candidates
from cascaderank.errors import CascadeError
from cascaderank.job import Budget
from cascaderank.kernels import Ragged
from cascaderank.request import Request, tokens_key
from cascaderank.stages.base import Counts, Scorer
from cascaderank.stages.bi_encoder import BiEncoder
from cascaderank.stages.late_interaction import LateInteraction
from cascaderank.store import Part, Schema, TokenVectors, checksums
from cascaderank.store.columns import id_dtype

PART = 512  # documents of a part; enough that sorting by length balances the workers


def schema_of(scorers: Sequence[Scorer], precision: str) -> Schema:
    """What a store for these scorers holds: tokens for every tokenizer and prefix, vectors for every encoder."""
    tokens: dict[str, str] = {}
    vectors: dict[str, int] = {}
    late: dict[str, int] = {}
    windows: dict[str, dict[str, int]] = {}
    for scorer in scorers:
        part = scorer.part
        key = tokens_key(part.tokenizer, part.spec.input.document_wording)
        tokens[key] = id_dtype(part.tokenizer.vocab_size)
        if isinstance(scorer, BiEncoder):
            vectors[part.spec.digest] = part.spec.output.dimension
        elif isinstance(scorer, LateInteraction):
            late[part.spec.digest] = part.spec.output.dimension
        if isinstance(scorer, (BiEncoder, LateInteraction)):
            windows.setdefault(key, {})[part.spec.digest] = part.query_room(scorer.document_form)
    models = {scorer.part.spec.digest: scorer.part.spec.name for scorer in scorers}
    return Schema(precision, tokens, vectors, late, models, windows)


def encode_part(scorers: Sequence[Scorer], candidates: Candidates, start: int, stop: int) -> Part:
    """Documents ``start:stop`` as ``schema_of`` says; errors name a document by its place in ``candidates``."""
    request = Request("", candidates, None, None, Budget())
    texts = candidates.texts[start:stop]
    everything = np.arange(len(texts))
    numbers = everything + start
    tokens: dict[str, Ragged] = {}
    vectors: dict[str, NDArray[np.float32]] = {}
    late: dict[str, TokenVectors] = {}
    for scorer in scorers:
        part = scorer.part
        wording = part.spec.input.document_wording
        key = tokens_key(part.tokenizer, wording)
        if key not in tokens:
            tokens[key] = part.tokenizer.encode_many([wording.around(text) for text in texts])
        if isinstance(scorer, BiEncoder) and part.spec.digest not in vectors:
            vectors[part.spec.digest], reached = scorer.encode(
                tokens[key], everything, scorer.document_form, request, Counts(), numbers
            )
            _check_all(reached, len(texts), part.spec.name)
        elif isinstance(scorer, LateInteraction) and part.spec.digest not in late:
            late[part.spec.digest], reached = scorer.encode(tokens[key], everything, request, Counts(), numbers)
            _check_all(reached, len(texts), part.spec.name)
    return Part(candidates.ids[start:stop], checksums(texts), tokens, vectors, late)


def _check_all(reached: NDArray[np.int64], count: int, model: str) -> None:
    if len(reached) < count:
        raise CascadeError(
            f"model {model!r}: no memory to encode {count - len(reached)} of {count} documents; free some, or use "
            "fewer workers"
        )
