"""The extension: kernels over NumPy arrays. int64 and float32, C-contiguous, exact dtype; nothing is converted. What a
store keeps in fewer bits has its own width: uint16 and int32 token ids, int8 vectors, half precision as uint16 bits.

Errors: ValueError for the caller's mistake, RuntimeError for ours, NonFiniteScore (candidate, value) for a model's
output that cannot be ordered. Outputs are written in place and never overlap inputs. The interpreter lock is released.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_Int64 = NDArray[np.int64]
_Float32 = NDArray[np.float32]
_Float64 = NDArray[np.float64]
_Int8 = NDArray[np.int8]
_UInt8 = NDArray[np.uint8]
_UInt16 = NDArray[np.uint16]
_Int32 = NDArray[np.int32]

QUERY: int
DOCUMENT: int
MAX_TOKEN_ID: int

class NonFiniteScore(RuntimeError): ...

class Template:
    def __init__(
        self, parts: Sequence[int], segments: Sequence[int], pad: int, position_offset: int, max_length: int
    ) -> None: ...
    @property
    def parts(self) -> list[int]: ...
    @property
    def segments(self) -> list[int]: ...
    @property
    def pad(self) -> int: ...
    @property
    def position_offset(self) -> int: ...
    @property
    def max_length(self) -> int: ...

class Calibration:
    def __init__(
        self, low: float, high: float, offset: float, logits: Sequence[float], log_odds: Sequence[float]
    ) -> None: ...
    def write_log_odds(self, logits: _Float32, out: _Float64) -> None: ...
    def first_logit(self, limit: float) -> float: ...

class Fusion:
    def __init__(
        self,
        kind: str,
        normalisation: str,
        rrf_k: float,
        weights: Sequence[float],
        calibrations: Sequence[Calibration],
    ) -> None: ...

class Pool:
    def __init__(self) -> None: ...
    def reset(self, size: int, first_scores: _Float32 | None, stages: int, fusion: Fusion) -> None: ...
    def alive(self) -> _Int64: ...
    def collect(self, stage: int, positions: _Int64, outputs: _Float32, columns: int) -> None: ...
    def decided(self, stage: int, count: int) -> bool: ...
    def prune(
        self,
        stage: int,
        keep: int,
        min_logit: float | None,
        margin: float | None,
        dynamic: tuple[float, float] | None = None,
    ) -> tuple[int, int, int]: ...
    def finish(self, count: int) -> tuple[_Int64, _Int64, _Float64, _Float32]: ...

class WordPiece:
    def __init__(
        self,
        pieces: bytes,
        cu_pieces: _Int64,
        ids: _Int64,
        unknown: int,
        continuation: str,
        max_characters: int,
        clean_text: bool,
        handle_chinese_chars: bool,
        strip_accents: bool,
        lowercase: bool,
    ) -> None: ...
    def encode(self, texts: list[str], threads: int, ids: _Int64, cu_seqlens: _Int64) -> int: ...
    def find(self, token: str) -> int: ...

def text_bytes(texts: list[str]) -> int: ...
def sequence_lengths(
    ids: _Int64, cu_seqlens: _Int64, rows: _Int64, query_length: int, form: Template, lengths: _Int64
) -> tuple[int, int]: ...
def plan_batches(
    lengths: _Int64,
    token_budget: int,
    max_rows: int,
    window: int,
    width_multiple: int,
    packed: bool,
    order: _Int64,
    bounds: _Int64,
    widths: _Int64,
) -> tuple[int, int]: ...
def fill_batches(
    query: _Int64,
    ids: _Int64,
    cu_seqlens: _Int64,
    rows: _Int64,
    lengths: _Int64,
    form: Template,
    order: _Int64,
    bounds: _Int64,
    widths: _Int64,
    packed: bool,
    input_ids: _Int64,
    attention_mask: _Int64 | None,
    token_type_ids: _Int64 | None,
    position_ids: _Int64 | None,
) -> None: ...
def topk(scores: _Float32, out: _Int64) -> None: ...

# Cut-offs explored from a table of scores
def explore(
    cu_candidates: _Int64,
    first_scores: _Float32 | None,
    logits: _Float32,
    gains: _Float32,
    ideal: _Float32,
    cost: _Float32,
    fixed: _Float32,
    least_gain: float,
    fusion: Fusion,
    depth: int,
    keeps: _Int64,
    min_logits: _Float32,
    margins: _Float32,
    masses: _Float32,
    temperatures: _Float32,
    ndcg: _Float32,
    recall: _Float32,
    ms: _Float32,
    pairs: _Int64,
) -> None: ...

# Embeddings and late interaction
def pool_embeddings(hidden: _Float32, mask: _Int64, pooling: str, normalize: bool, out: _Float32) -> None: ...
def normalize_rows(matrix: _Float32) -> None: ...
def dot_rows(query: _Float32, matrix: _Float32, rows: _Int64, out: _Float32) -> None: ...
def gather_tokens(hidden: _Float32, keep: _Int64, normalize: bool, out: _Float32, cu_out: _Int64) -> None: ...
def maxsim(
    query: _Float32,
    query_mask: _Int64,
    documents: _Float32,
    document_mask: _Int64,
    cu_seqlens: _Int64,
    rows: _Int64,
    length_normalize: bool,
    out: _Float32,
) -> None: ...
def maxsim_fp16(
    query: _Float32,
    query_mask: _Int64,
    documents: _UInt16,
    document_mask: _Int64,
    cu_seqlens: _Int64,
    rows: _Int64,
    length_normalize: bool,
    out: _Float32,
) -> None: ...
def maxsim_int8(
    query: _Float32,
    query_mask: _Int64,
    documents: _Int8,
    scales: _Float32,
    document_mask: _Int64,
    cu_seqlens: _Int64,
    rows: _Int64,
    length_normalize: bool,
    out: _Float32,
) -> None: ...

# Stored tokens and vectors, and the ids they are found by
def dot_rows_fp16(query: _Float32, matrix: _UInt16, rows: _Int64, out: _Float32) -> None: ...
def dot_rows_int8(query: _Float32, matrix: _Int8, scales: _Float32, rows: _Int64, out: _Float32) -> None: ...
def gather_ids_uint16(ids: _UInt16, cu_seqlens: _Int64, rows: _Int64, out: _Int64) -> None: ...
def gather_ids_int32(ids: _Int32, cu_seqlens: _Int64, rows: _Int64, out: _Int64) -> None: ...
def id_table_size(count: int) -> int: ...
def index_ids(ids: _UInt8, cu_bytes: _Int64, table: _Int64) -> None: ...
def find_ids(ids: _UInt8, cu_bytes: _Int64, table: _Int64, wanted: _UInt8, cu_wanted: _Int64, out: _Int64) -> None: ...
