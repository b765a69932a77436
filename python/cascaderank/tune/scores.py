"""Every stage's logit of every candidate, scored once and kept on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascaderank.cascade import Cascade
from cascaderank.documents import read_ids
from cascaderank.errors import CascadeError, StoreError
from cascaderank.evaluate.requests import Request, candidate_documents
from cascaderank.flow import Flow
from cascaderank.job import Budget
from cascaderank.kernels import Fusion, Int64, NonFiniteScore, Pool
from cascaderank.request import Request as Work
from cascaderank.stages import Counts, Scorer
from cascaderank.store import Store
from cascaderank.tune.file_names import data_digest, score_path, store_path

Float32 = NDArray[np.float32]
Progress = Callable[[int, int], None]
_CELL = np.dtype([("tokens", "<f4"), ("logit", "<f4")])
_LAST = Fusion("last", "z-score", 60.0, [], [])


@dataclass(frozen=True, slots=True)
class Scores:
    """``logits`` and ``tokens`` (a pair's share of the stage's model input) are float32 ``[stages, n]``; query ``i``
    owns the candidates ``cu_candidates[i]:cu_candidates[i + 1]``, in the first pass's order."""

    cu_candidates: Int64
    first: Float32
    logits: Float32
    tokens: Float32


def offsets(requests: Sequence[Request]) -> Int64:
    """``cu_candidates`` of requests: int64 ``[q + 1]``."""
    found = np.zeros(len(requests) + 1, np.int64)
    np.cumsum([len(request.ids) for request in requests], out=found[1:])
    return found


def work_of(request: Request, store: Store, truncate_query: bool) -> Work:
    """A request as stages take it."""
    candidates = read_ids(request.ids, request.scores, len(request.ids))
    return Work(request.query, candidates, store, store.rows(candidates), Budget(), truncate_query)


def load_or_encode(
    cascade: Cascade, requests: Sequence[Request], folder: Path, progress: Progress | None = None
) -> Store:
    """The candidates encoded ahead, from ``folder`` where an earlier run left them; the file's name binds it to data,
    models and what their vectors were computed by."""
    folder.mkdir(parents=True, exist_ok=True)
    path = store_path(folder, cascade.models, cascade.config.stages, cascade.providers, data_digest(requests))
    if path.exists():
        return Store.open(path)
    store = cascade.encode(candidate_documents(requests), progress)
    store.save(path)
    return store


def score_all(
    flow: Flow,
    requests: Sequence[Request],
    store: Store,
    folder: Path,
    *,
    truncate_query: bool = False,
    progress: Progress | None = None,
) -> Scores:
    """Score what ``folder`` does not hold yet. One file per stage, named by model, provider and what it was made from,
    so another model, arithmetic or other data never meets these scores. Raises what ranking raises, with the query."""
    folder.mkdir(parents=True, exist_ok=True)
    data, cu_candidates = data_digest(requests), offsets(requests)
    if store.schema.precision != "fp32":  # rounded vectors have scores of their own
        data += f" {store.schema.precision}"
    size = int(cu_candidates[-1])
    columns = [
        _open(score_path(folder, scorer.part, stage, data, truncate_query), size)
        for scorer, stage in zip(flow.scorers, flow.stages, strict=True)
    ]
    pool = Pool()
    for number, request in enumerate(requests):
        own = slice(int(cu_candidates[number]), int(cu_candidates[number + 1]))
        missing = [place for place, column in enumerate(columns) if np.isnan(column["logit"][own]).any()]
        if missing:
            try:
                logits, tokens = _score(flow, missing, work_of(request, store, truncate_query), pool)
            except CascadeError as error:
                raise type(error)(f"query {request.query_id!r}: {error}") from error
            for row, place in enumerate(missing):
                columns[place]["tokens"][own] = tokens[row]
                columns[place]["logit"][own] = logits[row]  # last: a query counts as done when no logit is missing
        if progress is not None:
            progress(number + 1, len(requests))
    first = np.array([score for request in requests for score in request.scores], np.float32)
    return Scores(
        cu_candidates,
        first,
        np.stack([np.array(column["logit"]) for column in columns]),
        np.stack([np.array(column["tokens"]) for column in columns]),
    )


def _open(path: Path, size: int) -> NDArray[np.void]:
    """The file's cells, NaN where nothing is known; it appears under its name only when it is whole."""
    if not path.exists():
        partial = path.with_name(f"{path.stem}.{os.getpid()}.partial.npy")
        cells = np.lib.format.open_memmap(str(partial), mode="w+", dtype=_CELL, shape=(size,))
        cells["logit"] = np.nan
        cells.flush()
        del cells
        partial.replace(path)
    try:
        found = np.lib.format.open_memmap(str(path), mode="r+")
    except (ValueError, OSError) as error:
        raise StoreError(f"{path}: not a score file ({error}); delete it, and it is made anew") from None
    if found.dtype != _CELL or found.shape != (size,):
        raise StoreError(f"{path}: holds {found.shape} of {found.dtype}, expected {size}; delete it")
    return found


def _score(flow: Flow, stages: Sequence[int], work: Work, pool: Pool) -> tuple[Float32, Float32]:
    """Logits and tokens of all candidates, float32 ``[len(stages), n]``; the pool collects, so columns and checks are
    the engine's own."""
    size = work.candidates.size
    pool.reset(size, work.candidates.scores, len(stages), _LAST)
    tokens = np.zeros((len(stages), size), np.float32)
    for row, stage in enumerate(stages):
        scorer, counts, alive = flow.scorers[stage], Counts(), pool.alive()
        scorer.check_query(work)
        scored = scorer.score(work, alive, counts)
        try:
            pool.collect(row, scored.positions, scored.outputs, scored.columns)
        except NonFiniteScore as error:
            candidate, value = error.args
            raise CascadeError(
                f"stage {flow.names[stage]!r}: the model's output for {work.candidates.describe(candidate)} is {value}"
            ) from None
        pool.prune(row, size, None, None)
        tokens[row] = _tokens(scorer, work, counts)
    order, _, _, found = pool.finish(size)
    logits = np.empty((len(stages), size), np.float32)
    logits[:, order] = found.T
    return logits, tokens


def _tokens(scorer: Scorer, work: Work, counts: Counts) -> Float32:
    """The stage's tokens shared out among its candidates by the length of their pairs; their sum is exact."""
    size, part = work.candidates.size, scorer.part
    if counts.tokens < size:  # no document went through the model: a query's vector against stored ones
        return np.full(size, counts.tokens / size, np.float32)
    given = part.spec.input
    everything = np.arange(size)
    texts, rows = work.document_tokens(part.tokenizer, given.document_wording, everything, part.tokenize_cost)
    lengths = np.diff(texts.cu_seqlens)[rows].astype(np.float64)
    rest = (
        len(work.query_tokens(part.tokenizer, given.query_wording(part.instruction))) + 3
    )  # [CLS] query [SEP] document [SEP]
    lengths = np.minimum(lengths + rest, part.spec.max_length)
    shares: Float32 = (lengths * (counts.tokens / lengths.sum())).astype(np.float32)
    return shares
