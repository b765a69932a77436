"""Encoding ahead: what a cascade's stages need of known documents -> a store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cascaderank.documents import Candidates
from cascaderank.kernels import EMPTY, Int64, Ragged
from cascaderank.request import Request, tokens_key
from cascaderank.schedule import Budget
from cascaderank.stages.base import Counts, Scorer
from cascaderank.stages.bi_encoder import BiEncoder
from cascaderank.stages.late_interaction import LateInteraction
from cascaderank.store import Store, TokenVectors, checksums

_CHUNK = 512  # documents between two progress calls; large enough that sorting by length balances the workers


def encode_documents(
    scorers: Sequence[Scorer], candidates: Candidates, progress: Callable[[int, int], None] | None
) -> Store:
    """Tokens for every tokenizer and prefix among the scorers, vectors for every encoder."""
    tokens: dict[str, list[Ragged]] = {}
    vectors: dict[str, list[NDArray[np.float32]]] = {}
    late: dict[str, list[TokenVectors]] = {}
    request = Request("", candidates, None, None, Budget())
    for start in range(0, candidates.size, _CHUNK):
        texts = candidates.texts[start : start + _CHUNK]
        everything = np.arange(len(texts))
        numbers = everything + start
        done: set[str] = set()
        for scorer in scorers:
            part = scorer.part
            wording = part.spec.input.document_wording
            key = tokens_key(part.tokenizer, wording)
            if key not in done:
                done.add(key)
                encoded = part.tokenizer.encode_many([wording.around(text) for text in texts])
                tokens.setdefault(key, []).append(encoded)
            if part.spec.digest in done:
                continue
            done.add(part.spec.digest)
            ragged = tokens[key][-1]
            if isinstance(scorer, BiEncoder):
                matrix, _ = scorer.encode(ragged, everything, scorer.document_form, request, Counts(), numbers)
                vectors.setdefault(part.spec.digest, []).append(matrix)
            elif isinstance(scorer, LateInteraction):
                found, _ = scorer.encode(ragged, everything, request, Counts(), numbers)
                late.setdefault(part.spec.digest, []).append(found)
        if progress is not None:
            progress(min(start + _CHUNK, candidates.size), candidates.size)
    names = {scorer.part.spec.digest: scorer.part.spec.name for scorer in scorers}
    return Store(
        candidates.ids,
        checksums(candidates.texts),
        {key: _join(parts) for key, parts in tokens.items()},
        {key: np.concatenate(parts) for key, parts in vectors.items()},
        {key: _join_vectors(parts) for key, parts in late.items()},
        names,
    )


def _offsets(parts: Sequence[Int64]) -> Int64:
    lengths = np.concatenate([np.diff(part) for part in parts])
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def _join(parts: Sequence[Ragged]) -> Ragged:
    if not parts:
        return EMPTY
    return Ragged(np.concatenate([part.ids for part in parts]), _offsets([part.cu_seqlens for part in parts]))


def _join_vectors(parts: Sequence[TokenVectors]) -> TokenVectors:
    return TokenVectors(np.concatenate([part.vectors for part in parts]), _offsets([part.cu_seqlens for part in parts]))
