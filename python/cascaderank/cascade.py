"""The surface people use: a cascade, the forms of a request, threads and closing."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cascaderank.admission import Admission
from cascaderank.config import CascadeConfig, Stage, check_deadline, read_config
from cascaderank.documents import Candidates, check_query, read_documents, read_ids
from cascaderank.errors import CascadeError, ConfigError, InputError
from cascaderank.flow import Flow
from cascaderank.golden import GoldenCheck
from cascaderank.golden import check_golden as check_golden_scores
from cascaderank.interpreter import quick_switching
from cascaderank.job import Budget, clock
from cascaderank.kernels import Pool
from cascaderank.margin import Margin
from cascaderank.model import ModelSpec, installed_models
from cascaderank.request import Request
from cascaderank.request_threads import RequestThreads
from cascaderank.results import Ranking
from cascaderank.schedule import Workers
from cascaderank.stages import Scorer
from cascaderank.stages.encode import PART, encode_part, schema_of
from cascaderank.store import Part, Schema, Store
from cascaderank.token_cache import CacheCounts
from cascaderank.warm_up import RunPlan, Warmed, warm_up

_T = TypeVar("_T")
Documents = Sequence[object]
Scores = Sequence[float] | NDArray[np.floating[Any]]
_REQUEST_THREADS = 32  # requests under way at once for arank; more wait in line, but for those with a deadline
_CLOSED = "this cascade was closed; make a new one"


def default_config() -> CascadeConfig:
    """The cascade file of the installed model package; raises ``ConfigError`` where there is none."""
    for folder in installed_models().values():
        file = folder.parent / "cascade.toml"
        if file.is_file():
            return read_config(file)
    raise ConfigError("no default cascade: no model package is installed; pip install cascaderank-models (./models)")


class Cascade:
    """Stages run one after another, each on what the one before let through. Thread-safe; also a context manager.

    ``Cascade([Stage("folder", keep=20), ...], fusion="convex")``, ``Cascade.load("cascade.toml")`` or
    ``Cascade.default()``. Models are loaded here, so everything that can be wrong with them is said here: raises
    ``ConfigError``, ``ModelError`` or ``ProviderError``.
    """

    def __init__(
        self,
        stages: Sequence[Stage] | CascadeConfig,
        *,
        fusion: str = "last",
        normalisation: str = "z-score",
        rrf_k: float = 60.0,
        weights: dict[str, float] | None = None,
        deadline_ms: float | None = None,
        workers: int | None = None,
        max_candidates: int = 10_000,
        truncate_query: bool = False,
        check_golden: bool = False,
    ) -> None:
        if isinstance(stages, CascadeConfig):
            config = stages
            settings = (fusion, normalisation, rrf_k, weights, deadline_ms, workers, max_candidates)
            if settings != ("last", "z-score", 60.0, None, None, None, 10_000) or truncate_query or check_golden:
                raise ConfigError(
                    "cascade: fusion, deadline_ms and the other settings belong in the CascadeConfig when one is "
                    "given; dataclasses.replace(config, ...) changes one"
                )
        elif not isinstance(stages, Sequence):
            raise ConfigError(f"cascade: stages is a {type(stages).__name__}, expected a list of Stage")
        else:
            unknown = sorted(set(weights or {}) - {"first"})
            if unknown:
                raise ConfigError(
                    f"cascade: weights has {unknown[0]!r}; only 'first' is set here, stages have `weight`"
                )
            config = CascadeConfig(
                stages=tuple(stages),
                fusion=fusion,
                normalisation=normalisation,
                rrf_k=rrf_k,
                first_weight=(weights or {}).get("first", 1.0),
                deadline_ms=deadline_ms,
                workers=workers,
                max_candidates=max_candidates,
                truncate_query=truncate_query,
                check_golden=check_golden,
            )
        self.config = config
        self._workers = Workers(config.workers)
        self._admission = Admission(config.max_requests)
        self._margin = Margin()
        self._requests = RequestThreads(_REQUEST_THREADS)
        self._pools: deque[Pool] = deque(maxlen=_REQUEST_THREADS)  # left by earlier requests, with their memory
        self._closed = False
        self._running = 0
        self._idle = threading.Condition()
        try:
            self._flow = Flow(config, self._workers)
            if config.check_golden:
                self.check_golden()
        except CascadeError:
            self.close()
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Cascade:
        """A cascade file; its relative model paths start from its own folder."""
        return cls(read_config(path))

    @classmethod
    def default(cls) -> Cascade:
        """The cascade that an installed model package offers (``cascaderank-models``)."""
        return cls(default_config())

    @property
    def names(self) -> tuple[str, ...]:
        """One name per stage: its own, or its model's."""
        return self._flow.names

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        """One manifest per stage."""
        return self._flow.specs

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution provider each stage really uses."""
        return tuple(scorer.part.session.provider for scorer in self._flow.scorers)

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """How each stage's texts are tokenised: natively, or by the tokenizers library and why."""
        return tuple(scorer.part.tokenizer.description for scorer in self._flow.scorers)

    @property
    def cache_counts(self) -> CacheCounts:
        """What the caches of texts that repeat have done so far, all tokenizers together; zeros where every one is
        native, which needs none."""
        parts = {id(scorer.part.tokenizer): scorer.part.tokenizer for scorer in self._flow.scorers}  # stages share them
        found = [astuple(counts) for part in parts.values() if (counts := part.cache_counts) is not None]
        return CacheCounts(*map(sum, zip(astuple(CacheCounts(0, 0, 0, 0, 0)), *found, strict=True)))

    @property
    def under_way(self) -> int:
        """Requests that are being answered or wait for their turn, at this moment."""
        return self._admission.under_way

    def check_golden(self) -> tuple[GoldenCheck, ...]:
        """Score every stage's golden pairs, one result per stage; raises ``ModelError`` for one that misses them."""
        self._check_open()
        return tuple(check_golden_scores(scorer) for scorer in self._flow.scorers)

    def rank(
        self,
        query: str,
        documents: Documents | None = None,
        *,
        ids: Sequence[str] | None = None,
        scores: Scores | None = None,
        store: Store | None = None,
        top_n: int | None = None,
        deadline_ms: float | None = None,
        instruction: str | None = None,
        max_document_tokens: int | None = None,
    ) -> Ranking:
        """Rank ``documents`` (strings, dicts with ``id``/``text``/``score`` or ``Document``) or the ``ids`` of a store.

        ``scores`` are the first pass's, larger is better. ``store`` supplies tokens and vectors computed ahead.
        ``instruction`` tells decoders what to judge by. ``max_document_tokens`` cuts longer documents for every stage,
        counted as truncation; what the store holds of them as vectors is not cut. Returns the best ``top_n`` (all by
        default). With ``deadline_ms`` (the cascade's own by default) the answer comes in time, degraded if need be.
        Raises ``InputError``, ``StoreError``, ``ScoreError`` or, with ``max_requests``, ``OverloadedError``.
        """
        budget = self._budget(deadline_ms)
        with self._admission.place():
            ranking = self._rank(query, documents, ids, scores, store, top_n, budget, instruction, max_document_tokens)
        self._done(budget)
        return ranking

    async def arank(
        self,
        query: str,
        documents: Documents | None = None,
        *,
        ids: Sequence[str] | None = None,
        scores: Scores | None = None,
        store: Store | None = None,
        top_n: int | None = None,
        deadline_ms: float | None = None,
        instruction: str | None = None,
        max_document_tokens: int | None = None,
    ) -> Ranking:
        """``rank`` for asyncio. The deadline counts from the call; cancelling the task ends its runs."""
        import asyncio  # 40 ms that `import cascaderank` need not pay: whoever awaits has it already

        budget = self._budget(deadline_ms)
        self._admission.take_place()  # here and not in the thread that it may have to wait for
        try:
            given = documents if ids is None else ids
            known = store if isinstance(store, Store) else None
            stored = self._flow.stored(known, documents is not None)
            self._admission.turn(budget, self._flow.seconds(len(given) if isinstance(given, Sized) else 0, stored))
            future = self._requests.submit(
                budget.order, self._rank, query, documents, ids, scores, store, top_n, budget, instruction,
                max_document_tokens, hurry=budget.due is not None,
            )  # fmt: skip
        except BaseException:  # closed in between, no thread to be had, documents whose length is an error
            self._admission.leave_place()
            raise
        future.add_done_callback(lambda _: self._admission.leave_place())
        try:
            ranking = await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            budget.cancellation.cancel()
            raise
        self._done(budget)
        return ranking

    def rank_batch(
        self,
        queries: Sequence[str],
        documents: Sequence[Documents] | None = None,
        *,
        ids: Sequence[Sequence[str]] | None = None,
        scores: Sequence[Scores] | None = None,
        store: Store | None = None,
        top_n: int | None = None,
        deadline_ms: float | None = None,
        instruction: str | None = None,
        max_document_tokens: int | None = None,
    ) -> list[Ranking]:
        """``rank`` for many queries, each with its own documents (or ids), side by side; results in order.

        A deadline counts for each query from when its turn comes.
        """
        if isinstance(queries, str):
            raise InputError("queries: expected a list of strings; use rank() for a single query")
        texts = _column("documents", documents, len(queries))
        names = _column("ids", ids, len(queries))
        first = _column("scores", scores, len(queries))

        def one(number: int) -> Ranking:
            try:
                return self.rank(
                    queries[number],
                    texts[number],
                    ids=names[number],
                    scores=first[number],
                    store=store,
                    top_n=top_n,
                    deadline_ms=deadline_ms,
                    instruction=instruction,
                    max_document_tokens=max_document_tokens,
                )
            except CascadeError as error:
                raise type(error)(f"queries[{number}]: {error}") from error

        # Two requests more than there are workers keep those busy while others tokenise.
        with ThreadPoolExecutor(self._workers.size + 2, thread_name_prefix="cascaderank-batch") as pool:
            return list(pool.map(one, range(len(queries))))

    def encode(
        self, documents: Documents, progress: Callable[[int, int], None] | None = None, *, vectors: str = "fp32"
    ) -> Store:
        """Compute what the stages need of known documents: tokens and, for encoders, vectors.

        ``documents`` need ids. ``progress(done, total)`` is called after each part. ``vectors`` is how they are kept:
        "fp32", "fp16" or "int8". The result is bound to these models and lies in memory; ``Store.save`` writes it.
        Collections larger than memory: ``cascaderank index``, or ``cascaderank.indexing``.
        """
        schema = self.store_schema(vectors)
        candidates = self._read_known(documents)
        parts = []
        for start in range(0, candidates.size, PART):
            stop = min(start + PART, candidates.size)
            with self._under_way():
                parts.append(encode_part(self._stored_scorers, candidates, start, stop))
            if progress is not None:
                progress(stop, candidates.size)
        return Store.of(schema, parts)

    def store_schema(self, vectors: str = "fp32") -> Schema:
        """What a store for this cascade holds of each document; ``vectors`` as in ``encode``."""
        self._check_open()
        return schema_of(self._stored_scorers, vectors)

    def encode_part(self, documents: Documents) -> Part:
        """Some documents as ``store_schema`` says, for a ``store.Writer``."""
        candidates = self._read_known(documents)
        with self._under_way():
            return encode_part(self._stored_scorers, candidates, 0, candidates.size)

    @property
    def _stored_scorers(self) -> list[Scorer]:
        """Those that may meet stored documents."""
        pairs = zip(self._flow.scorers, self._flow.stages, strict=True)
        return [scorer for scorer, stage in pairs if stage.stored is not False]

    def _read_known(self, documents: Documents) -> Candidates:
        self._check_open()
        candidates = read_documents(documents, None, sys.maxsize)
        if candidates.size and not candidates.ids:
            raise InputError("encode: documents need ids; give dicts with 'id' and 'text' or Document objects")
        return candidates

    def warm_up(self, plans: Sequence[RunPlan | None] | None = None) -> tuple[Warmed, ...]:
        """Make the first request as fast as the later ones: choose by a short measurement how each stage runs on this
        machine (a few seconds at most; what the cascade file says about it stays), run each at its largest shape, learn
        what runs cost. Returns one entry per stage. Requests may be under way, but would be measured too.

        ``plans``, one per stage, are what an equal cascade's ``warm_up`` chose on this machine: stages that have one
        run by it and are not measured again."""
        with self._under_way():
            rows = zip(self.names, self._flow.stages, self._flow.scorers, strict=True)
            known = [None] * len(self.names) if plans is None else plans
            return tuple(
                warm_up(name, stage, scorer, plan) for (name, stage, scorer), plan in zip(rows, known, strict=True)
            )

    def close(self) -> None:
        """Wait for requests in progress and release threads and sessions. Ranking afterwards is an error."""
        with self._idle:
            self._closed = True
            self._idle.wait_for(lambda: self._running == 0)
        self._requests.close()
        self._workers.close()

    def __enter__(self) -> Cascade:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise CascadeError(_CLOSED)

    def _budget(self, deadline_ms: float | None) -> Budget:
        self._check_open()
        if deadline_ms is None:
            deadline_ms = self.config.deadline_ms
        else:
            try:
                check_deadline("rank", deadline_ms)
            except ConfigError as error:
                raise InputError(str(error)) from None
        if deadline_ms is None:
            return Budget()
        seconds = deadline_ms / 1e3
        return Budget(clock() + seconds - self._margin.of(seconds))

    def _done(self, budget: Budget) -> None:
        if budget.expired and budget.due is not None:
            self._margin.observe(clock() - budget.due)

    def _request(self, query: str, candidates: Candidates, store: Store | None, budget: Budget) -> Request:
        if store is not None and not isinstance(store, Store):
            raise InputError(f"store: expected a Store, got {type(store).__name__}; Store.open(path) opens one")
        rows = None if store is None else store.rows(candidates)
        return Request(query, candidates, store, rows, budget, self.config.truncate_query)

    def _rank(
        self,
        query: str,
        documents: Documents | None,
        ids: Sequence[str] | None,
        scores: Scores | None,
        store: Store | None,
        top_n: int | None,
        budget: Budget,
        instruction: str | None,
        max_document_tokens: int | None,
    ) -> Ranking:
        started = clock()
        text = check_query(query)
        _check_positive("top_n", top_n)
        _check_positive("max_document_tokens", max_document_tokens)
        candidates = self._candidates(documents, ids, scores, store)
        request = self._request(text, candidates, store, budget)
        request.instruction = self._check_instruction(instruction)
        request.max_document_tokens = max_document_tokens
        stored = self._flow.stored(store if request.stored else None, bool(candidates.texts))
        seconds = self._flow.seconds(candidates.size, stored)
        switching = quick_switching(self.config.switch_interval_ms / 1e3)
        with self._under_way(), switching, self._admission.admit(budget, seconds) as request.flight:
            try:
                pool = self._pools.pop()  # not `if self._pools`: another thread may take the last one in between
            except IndexError:
                pool = Pool()
            try:
                return self._flow.run(pool, request, stored, top_n, started)
            finally:
                self._pools.append(pool)

    def _check_instruction(self, instruction: str | None) -> str | None:
        if instruction is not None and (not isinstance(instruction, str) or not instruction.strip()):
            raise InputError(f"instruction is {instruction!r}, expected a text or None")
        if instruction is not None and not any(spec.input.instruction_prefix for spec in self.models):
            raise InputError("instruction: no stage of this cascade takes one; only decoders do")
        return instruction

    @contextmanager
    def _under_way(self) -> Iterator[None]:
        """A request that ``close`` waits for, whichever thread it runs in."""
        with self._idle:
            self._check_open()
            self._running += 1
        try:
            yield
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _candidates(
        self,
        documents: Documents | None,
        ids: Sequence[str] | None,
        scores: Scores | None,
        store: Store | None,
    ) -> Candidates:
        limit = self.config.max_candidates
        if (documents is None) == (ids is None):
            raise InputError("rank takes either documents or ids (of a store), not both and not neither")
        if documents is not None:
            return read_documents(documents, scores, limit)
        if store is None:
            raise InputError("rank: ids name documents of a store; pass store=, or the documents themselves")
        assert ids is not None  # by the check above; tells the type checker
        return read_ids(ids, scores, limit)


def _check_positive(name: str, value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1):
        raise InputError(f"{name} is {value!r}, expected a positive integer or None for all")


def _column(name: str, values: Sequence[_T] | None, count: int) -> Sequence[_T | None]:
    if values is None:
        return [None] * count
    if isinstance(values, str) or len(values) != count:
        raise InputError(f"{name}: {len(values)} entries for {count} queries; give one list per query")
    return values
