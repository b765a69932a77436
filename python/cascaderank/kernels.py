"""The only module that imports the extension: allocates outputs, calls kernels, keeps plans together. No policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank._core import (
    DOCUMENT,
    MAX_TOKEN_ID,
    QUERY,
    Calibration,
    Fusion,
    NonFiniteScore,
    Pool,
    Template,
    WordPiece,
    dot_rows_fp16,
    dot_rows_int8,
    fill_batches,
    find_ids,
    gather_ids_int32,
    gather_ids_uint16,
    gather_tokens,
    id_table_size,
    maxsim,
    maxsim_fp16,
    maxsim_int8,
    normalize_rows,
    plan_batches,
    pool_embeddings,
    sequence_lengths,
    text_bytes,
)
from cascaderank._core import dot_rows as _dot_rows
from cascaderank._core import explore as _explore
from cascaderank._core import index_ids as _index_ids
from cascaderank._core import topk as _topk

__all__ = [
    "DOCUMENT",
    "MAX_TOKEN_ID",
    "QUERY",
    "Calibration",
    "Choices",
    "Explored",
    "Fusion",
    "Int8Rows",
    "Int64",
    "NonFiniteScore",
    "Plan",
    "PlanRule",
    "Pool",
    "Ragged",
    "ScoreTable",
    "Template",
    "VectorRows",
    "WordPiece",
    "dot_rows",
    "encode_texts",
    "explore",
    "find_ids",
    "gather_ids",
    "gather_tokens",
    "id_table_size",
    "index_ids",
    "log_odds",
    "maxsim",
    "maxsim_rows",
    "normalize_rows",
    "pack",
    "plan",
    "pool_embeddings",
    "topk",
]

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
_EVERY_TOKEN = np.empty(0, np.int64)  # an empty mask


@dataclass(frozen=True, slots=True)
class Int8Rows:
    """Vectors in 8 bits a value: row ``r`` is ``scales[r] * values[r]``; int8 ``[n, d]``, float32 ``[n]``."""

    values: NDArray[np.int8]
    scales: Float32


VectorRows = Float32 | NDArray[np.float16] | Int8Rows
"""Vectors ``[n, d]`` as a store keeps them."""


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


def gather_ids(ids: NDArray[Any], cu_seqlens: Int64, rows: Int64) -> Ragged:
    """The named rows of stored token ids (uint16 or int32) as a ragged array of their own; only these are read."""
    lengths = cu_seqlens[rows + 1] - cu_seqlens[rows]
    if len(rows) and (lengths.min() < 0 or lengths.max() > len(ids)):  # before memory is asked for
        raise ValueError(f"cu_seqlens gives a text {lengths.min()} to {lengths.max()} of {len(ids)} ids; it is damaged")
    found = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=found[1:])
    out = np.empty(int(found[-1]), np.int64)
    if ids.dtype == np.uint16:
        gather_ids_uint16(ids, cu_seqlens, rows, out)
    else:
        gather_ids_int32(ids, cu_seqlens, rows, out)
    return Ragged(out, found)


def index_ids(ids: NDArray[np.uint8], cu_bytes: Int64) -> Int64:
    """The hash table of byte strings end to end, int64 ``[id_table_size(n)]``; ValueError names a repeated one."""
    table = np.empty(id_table_size(len(cu_bytes) - 1), np.int64)
    _index_ids(ids, cu_bytes, table)
    return table


def log_odds(calibration: Calibration, logits: Float32) -> NDArray[np.float64]:
    """Calibrated log-odds of float32 ``[n]`` logits -> float64 ``[n]``; their sigmoid is the probability."""
    out = np.empty(len(logits), np.float64)
    calibration.write_log_odds(logits, out)
    return out


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


def dot_rows(query: Float32, matrix: VectorRows, rows: Int64) -> Float32:
    """Dot products of float32 ``[d]`` with the named rows of ``[m, d]`` -> float32 ``[len(rows)]``."""
    out = np.empty(len(rows), np.float32)
    if isinstance(matrix, Int8Rows):
        dot_rows_int8(query, matrix.values, matrix.scales, rows, out)
    elif matrix.dtype == np.float16:
        dot_rows_fp16(query, matrix.view(np.uint16), rows, out)
    else:
        _dot_rows(query, matrix, rows, out)  # type: ignore[arg-type]  # by its dtype it is Float32
    return out


def maxsim_rows(
    query: Float32, documents: VectorRows, cu_seqlens: Int64, rows: Int64, length_normalize: bool
) -> Float32:
    """MaxSim of float32 ``[q, d]`` query vectors with the named documents -> float32 ``[len(rows)]``; document ``r``'s
    token vectors are rows ``cu_seqlens[r]:cu_seqlens[r + 1]`` of ``documents``."""
    out = np.empty(len(rows), np.float32)
    asked = np.ones(len(query), np.int64)
    rest = (_EVERY_TOKEN, cu_seqlens, rows, length_normalize, out)
    if isinstance(documents, Int8Rows):
        maxsim_int8(query, asked, documents.values, documents.scales, *rest)
    elif documents.dtype == np.float16:
        maxsim_fp16(query, asked, documents.view(np.uint16), *rest)
    else:
        maxsim(query, asked, documents, *rest)  # type: ignore[arg-type]  # by its dtype it is Float32
    return out


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Every stage's logit of every candidate of several queries; query ``i`` owns the candidates
    ``cu_candidates[i]:cu_candidates[i + 1]``.

    ``first`` float32 ``[n]`` or None; ``logits`` and ``cost`` (predicted milliseconds of scoring that candidate)
    float32 ``[stages, n]``; ``gains`` float32 ``[n]``, 2^grade - 1; ``ideal`` float32 ``[queries]``, the DCG of the
    best order of all judged documents; ``fixed`` float32 ``[stages]``, predicted milliseconds of running a stage at
    all; ``least_gain`` that of the lowest grade that counts as relevant for recall (1 is that of grade 1).
    """

    cu_candidates: Int64
    first: Float32 | None
    logits: Float32
    gains: Float32
    ideal: Float32
    cost: Float32
    fixed: Float32
    least_gain: float = 1.0

    @property
    def queries(self) -> int:
        return len(self.cu_candidates) - 1

    @property
    def stages(self) -> int:
        return len(self.logits)

    @property
    def relevant(self) -> NDArray[np.bool_]:
        """Which candidates count as relevant, bool ``[n]``; compared in float32, as exploration does."""
        found: NDArray[np.bool_] = self.gains >= np.float32(self.least_gain)
        return found


@dataclass(frozen=True, slots=True)
class Choices:
    """Cut-offs to explore, one row each: ``keeps`` int64 ``[c, stages]``, 0 leaves the stage out; ``min_logits``,
    ``margins`` and ``masses`` float32 ``[c, stages]``, NaN for no such limit; ``temperatures`` float32 ``[stages]``."""

    keeps: Int64
    min_logits: Float32
    margins: Float32
    masses: Float32
    temperatures: Float32

    @classmethod
    def fixed(cls, keeps: Int64) -> Choices:
        """Cut-offs without other limits."""
        none = np.full(keeps.shape, np.nan, np.float32)
        return cls(keeps, none, none, none, np.ones(keeps.shape[1], np.float32))

    def __len__(self) -> int:
        return len(self.keeps)


@dataclass(frozen=True, slots=True)
class Explored:
    """What each choice gives for each query: ``ndcg``, ``recall`` (of the relevant candidates, among those that leave
    the last stage; NaN where there are none to lose) and predicted ``ms``, float32 ``[c, queries]``; ``pairs`` int64
    ``[c, queries, stages]``, the candidates each stage scores."""

    ndcg: Float32
    recall: Float32
    ms: Float32
    pairs: Int64


def explore(table: ScoreTable, fusion: Fusion, choices: Choices, depth: int = 10) -> Explored:
    """What the engine would do under each choice; fast where rows are in lexicographic order. Quality is nDCG at
    ``depth`` of the whole ranking. Raises ValueError for sizes that do not fit and scores that are not finite."""
    shape = (len(choices), table.queries)
    out = Explored(
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty((*shape, table.stages), np.int64),
    )
    _explore(
        table.cu_candidates,
        table.first,
        table.logits,
        table.gains,
        table.ideal,
        table.cost,
        table.fixed,
        table.least_gain,
        fusion,
        depth,
        choices.keeps,
        choices.min_logits,
        choices.margins,
        choices.masses,
        choices.temperatures,
        out.ndcg,
        out.recall,
        out.ms,
        out.pairs,
    )
    return out
