"""The only module that imports the extension: allocates outputs, calls kernels, keeps plans together. No policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascaderank._core import (
    DOCUMENT,
    MAX_TOKEN_ID,
    QUERY,
    Fusion,
    NonFiniteScore,
    Pool,
    Template,
    WordPiece,
    fill_batches,
    gather_ragged,
    gather_tokens,
    maxsim,
    normalize_rows,
    plan_batches,
    pool_embeddings,
    sequence_lengths,
    text_bytes,
)
from cascaderank._core import dot_rows as _dot_rows
from cascaderank._core import topk as _topk

__all__ = [
    "DOCUMENT",
    "MAX_TOKEN_ID",
    "QUERY",
    "Fusion",
    "Int64",
    "NonFiniteScore",
    "Plan",
    "PlanRule",
    "Pool",
    "Ragged",
    "Template",
    "WordPiece",
    "dot_rows",
    "encode_texts",
    "gather",
    "gather_tokens",
    "maxsim",
    "normalize_rows",
    "pack",
    "plan",
    "pool_embeddings",
    "topk",
]

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Token ids of several texts end to end: text ``r`` is ``ids[cu_seqlens[r]:cu_seqlens[r + 1]]``; both int64."""

    ids: Int64
    cu_seqlens: Int64

    def __len__(self) -> int:
        return len(self.cu_seqlens) - 1


EMPTY = Ragged(np.empty(0, np.int64), np.zeros(1, np.int64))


@dataclass(frozen=True, slots=True)
class PlanRule:
    """Limits of one micro-batch: ``token_budget`` counts the padded tensor's tokens; rows are sorted by length inside
    windows of ``window`` rows, windows keep the given order (best first); widths are rounded up to
    ``width_multiple``."""

    token_budget: int
    max_rows: int
    window: int
    width_multiple: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Micro-batches of one stage, and the way home.

    ``order[bounds[b]:bounds[b + 1]]`` are the positions (into the rows given to ``plan``) that micro-batch ``b`` holds;
    its tensors are ``[rows, widths[b]]`` and start at element ``offsets[b]`` of the flat buffers of ``tokens``
    elements.
    """

    order: Int64
    bounds: list[int]
    widths: list[int]
    offsets: list[int]
    lengths: Int64
    tokens: int
    truncated_texts: int
    truncated_tokens: int
    _bounds: Int64
    _widths: Int64

    def __len__(self) -> int:
        return len(self.widths)

    @property
    def used_tokens(self) -> int:
        """Tokens that are not padding."""
        return int(self.lengths.sum())


def plan(documents: Ragged, rows: Int64, query_length: int, form: Template, rule: PlanRule) -> Plan:
    """Decide which rows run together. Raises ValueError when the query leaves no room for a document."""
    count = len(rows)
    lengths = np.empty(count, np.int64)
    texts, lost = sequence_lengths(documents.ids, documents.cu_seqlens, rows, query_length, form, lengths)
    order, bounds, widths = np.empty(count, np.int64), np.empty(count + 1, np.int64), np.empty(count, np.int64)
    batches, tokens = plan_batches(
        lengths, rule.token_budget, rule.max_rows, rule.window, rule.width_multiple, False, order, bounds, widths
    )
    bounds, widths = bounds[: batches + 1], widths[:batches]
    offsets = np.zeros(batches + 1, np.int64)
    np.cumsum(np.diff(bounds) * widths, out=offsets[1:])
    return Plan(order, bounds.tolist(), widths.tolist(), offsets.tolist(), lengths, tokens, texts, lost, bounds, widths)


def pack(plan: Plan, query: Int64, documents: Ragged, rows: Int64, form: Template, tensors: dict[str, Int64]) -> None:
    """Fill the flat buffers in ``tensors`` (role -> int64 ``[plan.tokens]``) with every micro-batch of the plan."""
    fill_batches(
        query,
        documents.ids,
        documents.cu_seqlens,
        rows,
        plan.lengths,
        form,
        plan.order,
        plan._bounds,
        plan._widths,
        False,
        tensors["input_ids"],
        tensors.get("attention_mask"),
        tensors.get("token_type_ids"),
        tensors.get("position_ids"),
    )


def gather(texts: Ragged, rows: Int64) -> Ragged:
    """The named rows as a ragged array of their own."""
    cu_seqlens = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(np.diff(texts.cu_seqlens)[rows], out=cu_seqlens[1:])
    ids = np.empty(int(cu_seqlens[-1]), np.int64)
    gather_ragged(texts.ids, texts.cu_seqlens, rows, ids)
    return Ragged(ids, cu_seqlens)


def encode_texts(tokenizer: WordPiece, texts: list[str], threads: int, bytes_per_thread: int) -> Ragged:
    """Token ids of all texts, by one thread for each ``bytes_per_thread`` of UTF-8, ``threads`` at most.

    Raises TypeError or ValueError naming the text that is no string or has no UTF-8 form.
    """
    size = text_bytes(texts)
    # A text has at most as many tokens as bytes; pages that are not written to cost nothing.
    ids, cu_seqlens = np.empty(size, np.int64), np.empty(len(texts) + 1, np.int64)
    count = tokenizer.encode(texts, min(threads, 1 + size // bytes_per_thread), ids, cu_seqlens)
    return Ragged(ids[:count].copy(), cu_seqlens)


def topk(scores: Float32, k: int) -> Int64:
    """Indices of the ``k`` largest of float32 ``[n]`` scores, by (score descending, index ascending)."""
    out = np.empty(min(k, len(scores)), np.int64)
    _topk(scores, out)
    return out


def dot_rows(query: Float32, matrix: Float32, rows: Int64) -> Float32:
    """Dot products of float32 ``[d]`` with the named rows of float32 ``[m, d]`` -> float32 ``[len(rows)]``."""
    out = np.empty(len(rows), np.float32)
    _dot_rows(query, matrix, rows, out)
    return out
