"""The order of events of one request: score, collect, prune, stop in time, finish. Nothing per candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cascaderank.allowance import allot
from cascaderank.config import CascadeConfig, Stage
from cascaderank.errors import CascadeError, ProviderError, ScoreError
from cascaderank.job import clock
from cascaderank.kernels import Fusion, NonFiniteScore, Pool
from cascaderank.manifest import PAIRED
from cascaderank.model import ModelSpec
from cascaderank.outputs import (
    calibrations_under,
    make_fusion,
    min_logit,
    native_calibration,
    probabilities,
    shown_scores,
    void_calibration,
)
from cascaderank.request import Request
from cascaderank.results import Ranking, StageTrace, Trace
from cascaderank.schedule import Workers
from cascaderank.session import RunFailed
from cascaderank.stages import Counts, Loader, Scored, Scorer
from cascaderank.stages.stored import needed_vectors, stored_stages
from cascaderank.store import Store

_SPARE = 0.1  # of the time before a deadline is not given away: costs are estimates
_ROUND = 8  # candidates scored before a stage that may end early is asked whether it is decided


class Flow:
    """A cascade's stages made ready. Holds nothing of a request, so any number may run at once."""

    def __init__(self, config: CascadeConfig, workers: Workers) -> None:
        loader = Loader(workers, config.base, config.token_cache_mb)
        self._config = config
        self.stages = config.stages
        self.scorers: tuple[Scorer, ...] = tuple(loader.load(stage) for stage in config.stages)
        self.specs: tuple[ModelSpec, ...] = tuple(scorer.part.spec for scorer in self.scorers)
        self.names = _unique_names(config.stages, self.specs)
        self._calibrations = tuple(native_calibration(spec) for spec in self.specs)
        self._fusion = make_fusion(config, self.specs, self._calibrations)
        self._min_logits = tuple(
            min_logit(stage, spec, calibration)
            for stage, spec, calibration in zip(config.stages, self.specs, self._calibrations, strict=True)
        )
        self._needed_vectors = needed_vectors(config.stages, self.specs)

    @property
    def fusion(self) -> Fusion:
        """What orders the candidates that reached the same stage, as the pool takes it."""
        return self._fusion

    def run(self, pool: Pool, request: Request, stored: Sequence[bool], top_n: int | None, started: float) -> Ranking:
        """Take one request through all stages; ``stored`` is ``Flow.stored`` of it, ``started`` when it came in
        (``clock()``)."""
        size = request.candidates.size
        for scorer in self.scorers:
            scorer.check_query(request)  # before any model runs: a query too long for stage 3 fails at once
        calibrations = calibrations_under(request.instruction, self._config, self.specs, self._calibrations)
        pool.reset(size, request.candidates.scores, len(self.scorers), self._fusion)
        read = clock()
        traces: list[StageTrace] = []
        reasons: list[str] = []
        kept = size
        for number, stage in enumerate(self.stages):
            alive = pool.alive()
            kept = len(alive)
            if not kept:
                break
            if reason := _skip_reason(stage, stored[number], kept):
                traces.append(self._skipped(number, kept, reason))
                continue
            if not request.budget.allows(0.0):
                reasons.append(f"deadline: stage {self.names[number]!r} was not started")
                break
            allotted = self._allot(number, request, kept, stored)
            if not allotted:
                reason = f"deadline: stage {self.names[number]!r} was left out"
                reasons.append(reason)
                traces.append(self._skipped(number, kept, reason))
                continue
            trace = self._run_stage(pool, number, request, alive, allotted, self._places(number, top_n), stored[number])
            traces.append(trace)
            kept = trace.candidates_out
            if trace.scored + trace.spared < trace.candidates_in:
                lacking = "memory" if request.budget.out_of_memory else "deadline"
                reasons.append(
                    f"{lacking}: stage {trace.name!r} scored {trace.scored} of {trace.candidates_in} candidates"
                )
                if trace.scored < allotted and request.budget.expired:
                    break
                request.budget.out_of_memory = False  # the next stage asks for less of it, or is cut short as well
        finishing = clock()
        order, reached, values, logits = pool.finish(size if top_n is None else min(top_n, size))
        scores = self._show(request, reached, values, logits)
        chances = probabilities(calibrations, reached, logits)
        ended = clock()
        trace_ = Trace(tuple(traces), (ended - started) * 1e3, (read - started) * 1e3, (ended - finishing) * 1e3)
        return Ranking(
            order, request.candidates.ids, kept, self.names, reached, values, scores, tuple(reasons), trace_, logits,
            chances,
        )  # fmt: skip

    def stored(self, store: Store | None, with_texts: bool) -> tuple[bool, ...]:
        """By stage, whether documents that ``store`` knows by id (None: not all of them) are stored ones there."""
        return stored_stages(self._needed_vectors, store, with_texts)

    def seconds(self, size: int, stored: Sequence[bool]) -> float:
        """What a request of ``size`` candidates takes with the machine to itself, from the costs so far; ``stored`` by
        stage."""
        return sum(
            self.scorers[number].part.stage_cost(stored[number]).estimate(count)
            for number, count in self._expected(0, size, stored)
        )

    def _expected(self, first: int, alive: int, stored: Sequence[bool]) -> list[tuple[int, int]]:
        """The stages from ``first`` on that a request will meet, and how many candidates each would score."""
        found: list[tuple[int, int]] = []
        for number in range(first, len(self.stages)):
            stage = self.stages[number]
            if not _skip_reason(stage, stored[number], alive):
                found.append((number, alive))
                alive = min(alive, stage.keep)
        return found

    def _allot(self, number: int, request: Request, alive: int, stored: Sequence[bool]) -> int:
        """How many of those alive the stage may score so that later ones have their share of the time."""
        expected = self._expected(number, alive, stored)
        costs = [self.scorers[place].part.stage_cost(stored[place]) for place, _ in expected]
        counts = [count for _, count in expected]
        flight, due = request.flight, request.budget.due
        if due is not None:
            ahead = flight.ahead() if flight is not None else 0.0
            counts = allot(counts, costs, (1.0 - _SPARE) * (due - clock()) - ahead)
        if flight is not None:
            flight.plan(sum(cost.estimate(count) for cost, count in zip(costs, counts, strict=True)))
        return counts[0]

    def _places(self, number: int, top_n: int | None) -> int | None:
        """How many of a stage's best decide the answer, where the stage may end once they are certain. Limits on logits
        count whoever passes them, so a stage with any is scored in full."""
        stage, limits = self.stages[number], self._min_logits[number] is not None
        if not self._config.early_stop or limits or stage.margin is not None or stage.dynamic is not None:
            return None
        if self.specs[number].kind not in PAIRED:
            return None  # an encoder's stored vectors cost less than asking, and its query would be encoded again
        keep = stage.keep
        return keep if top_n is None or number + 1 < len(self.stages) else min(keep, max(top_n, 1))

    def _run_stage(
        self,
        pool: Pool,
        number: int,
        request: Request,
        alive: NDArray[np.int64],
        allotted: int,
        places: int | None,
        stored: bool,
    ) -> StageTrace:
        stage, scorer, counts = self.stages[number], self.scorers[number], Counts()
        begun = clock()
        done, spared, collect_s = 0, 0, 0.0
        for start, some in _rounds(alive[:allotted], places):
            try:
                scored = scorer.score(request, some, counts)
            except RunFailed as error:
                raise ProviderError(
                    f"stage {self.names[number]!r} on {scorer.part.session.provider}: {error}; "
                    f"`cascaderank check {self.specs[number].folder}` says whether the model runs at all"
                ) from error
            if request.budget.cancellation.cancelled and not request.budget.expired:
                raise CascadeError("the request was cancelled")
            collecting = clock()
            self._collect(pool, number, request, scored, start)
            done += len(scored.positions)
            if places is not None and len(scored.positions) == len(some) and pool.decided(number, places):
                spared = len(alive) - done
            collect_s += clock() - collecting
            if spared or len(scored.positions) < len(some):
                break
        collecting = clock() - collect_s
        out = len(alive)
        if counts.shared_runs:
            counts.notes.append(f"{counts.shared_runs} of {counts.micro_batches} runs were shared with other requests")
        if spared:
            counts.notes.append(f"{spared} candidates could not get through any more and were not scored")
        if void := void_calibration(stage, self.specs[number], request.instruction):
            counts.notes.append(void)
        if done:
            _, out, below = pool.prune(number, stage.keep, self._min_logits[number], stage.margin, _dynamic(stage))
            if below:
                counts.notes.append(f"{below} candidates were below min_score, min_probability or margin")
        ended = clock()
        if done == allotted:
            outside = ended - begun - counts.run_s
            scorer.part.stage_cost(stored).observe(done, counts.model_s + outside)
        session = scorer.part.session
        return StageTrace(
            name=self.names[number],
            kind=scorer.part.spec.kind,
            provider=session.provider,
            candidates_in=len(alive),
            scored=done,
            candidates_out=out,
            tokens=counts.tokens,
            padding=1.0 - counts.tokens / counts.tensor_tokens if counts.tensor_tokens else 0.0,
            micro_batches=counts.micro_batches,
            truncated_documents=counts.truncated_texts,
            truncated_tokens=counts.truncated_tokens,
            truncated_query_tokens=counts.truncated_query_tokens,
            tokenize_ms=counts.tokenize_s * 1e3,
            encode_ms=counts.encode_s * 1e3,
            pack_ms=counts.pack_s * 1e3,
            run_ms=counts.run_s * 1e3,
            model_ms=counts.model_s * 1e3,
            prune_ms=(ended - collecting) * 1e3,
            total_ms=(ended - begun) * 1e3,
            note="; ".join(text for text in (session.note, *counts.notes) if text),
            spared=spared,
        )

    def _skipped(self, number: int, alive: int, reason: str) -> StageTrace:
        part = self.scorers[number].part
        return StageTrace(self.names[number], part.spec.kind, part.session.provider, alive, 0, alive, note=reason)

    def _collect(self, pool: Pool, number: int, request: Request, scored: Scored, start: int) -> None:
        try:
            pool.collect(
                number, scored.positions + start if start else scored.positions, scored.outputs, scored.columns
            )
        except NonFiniteScore as error:
            candidate, value = error.args
            raise ScoreError(
                f"stage {self.names[number]!r}: the model's output for {request.candidates.describe(candidate)} is "
                f"{value}, not a finite number (overflow of an fp16 model is the usual cause); look at it with "
                f"`cascaderank check {self.specs[number].folder}`"
            ) from None

    def _show(
        self,
        request: Request,
        reached: NDArray[np.int64],
        values: NDArray[np.float64],
        logits: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """The scores that are shown, and ``values`` turned into those in place; the order is already decided."""
        scores = shown_scores(self.specs, logits)
        if self._config.fusion == "last":
            places = np.flatnonzero(reached >= 0)
            values[places] = scores[places, reached[places]]
        if request.candidates.scores is None:
            values[reached < 0] = np.nan
        return scores


def _rounds(alive: NDArray[np.int64], places: int | None) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """All candidates at once; where a stage may end early first as many as decide, then a few at a time."""
    if places is None:
        yield 0, alive
        return
    start = 0
    while start < len(alive):
        size = max(places, _ROUND) if start == 0 else _ROUND
        yield start, alive[start : start + size]
        start += size


def _skip_reason(stage: Stage, stored: bool, alive: int) -> str:
    """Why the stage does not run for so many candidates, stored or not; empty where it does."""
    if stage.candidates_over is not None and alive <= stage.candidates_over:
        return f"skipped: {alive} candidates, it runs for more than {stage.candidates_over}"
    if stage.stored is not None and stage.stored != stored:
        known = "all" if stored else "not all"
        where = "all" if stage.stored else "not all"
        return f"skipped: {known} documents are in the store with the vectors needed, it runs where {where} are"
    return ""


def _unique_names(stages: Sequence[Stage], specs: Sequence[ModelSpec]) -> tuple[str, ...]:
    names = [stage.name or spec.name for stage, spec in zip(stages, specs, strict=True)]
    return tuple(name if names.index(name) == number else f"{name}#{number + 1}" for number, name in enumerate(names))


def _dynamic(stage: Stage) -> tuple[float, float] | None:
    return None if stage.dynamic is None else (stage.dynamic.mass, stage.dynamic.temperature)
