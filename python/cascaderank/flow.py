"""The order of events of one request: score, collect, prune, stop in time, finish. Nothing per candidate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cascaderank.config import CascadeConfig, Stage
from cascaderank.errors import CascadeError, ConfigError, ScoreError
from cascaderank.kernels import Fusion, NonFiniteScore, Pool
from cascaderank.model import ModelSpec
from cascaderank.request import Request
from cascaderank.results import Ranking, StageTrace, Trace
from cascaderank.schedule import Workers, clock
from cascaderank.stages import Counts, Loader, Scored, Scorer


class Flow:
    """A cascade's stages made ready. Holds nothing of a request, so any number may run at once."""

    def __init__(self, config: CascadeConfig, workers: Workers) -> None:
        loader = Loader(workers, config.base, config.token_cache_mb)
        self.stages = config.stages
        self.scorers: tuple[Scorer, ...] = tuple(loader.load(stage) for stage in config.stages)
        self.specs: tuple[ModelSpec, ...] = tuple(scorer.part.spec for scorer in self.scorers)
        self.names = _unique_names(config.stages, self.specs)
        self._fusion = _fusion(config, self.specs)
        self._shows_last = config.fusion == "last"

    def run(self, pool: Pool, request: Request, top_n: int | None, started: float) -> Ranking:
        """Take one request through all stages; ``started`` is when it came in (``clock()``)."""
        size = request.candidates.size
        for scorer in self.scorers:
            scorer.check_query(request)  # before any model runs: a query too long for stage 3 fails at once
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
            if reason := _skip_reason(stage, request, kept):
                traces.append(self._skipped(number, kept, reason))
                continue
            if not request.budget.allows(0.0):
                reasons.append(f"deadline: stage {self.names[number]!r} was not started")
                break
            trace = self._run_stage(pool, number, request, alive)
            traces.append(trace)
            kept = trace.candidates_out
            if trace.scored < trace.candidates_in:
                reasons.append(
                    f"deadline: stage {trace.name!r} scored {trace.scored} of {trace.candidates_in} candidates"
                )
                break
        finishing = clock()
        order, reached, values, scores = pool.finish(size if top_n is None else min(top_n, size))
        self._show(request, reached, values, scores)
        ended = clock()
        trace_ = Trace(tuple(traces), (ended - started) * 1e3, (read - started) * 1e3, (ended - finishing) * 1e3)
        return Ranking(order, request.candidates.ids, kept, self.names, reached, values, scores, tuple(reasons), trace_)

    def _run_stage(self, pool: Pool, number: int, request: Request, alive: NDArray[np.int64]) -> StageTrace:
        stage, scorer, counts = self.stages[number], self.scorers[number], Counts()
        begun = clock()
        scored = scorer.score(request, alive, counts)
        if request.budget.cancellation.cancelled and not request.budget.expired:
            raise CascadeError("the request was cancelled")
        collecting = clock()
        self._collect(pool, number, request, scored)
        done, out = len(scored.positions), len(alive)
        if done:
            _, out, below = pool.prune(number, stage.keep, _min_logit(stage, scorer.part.spec), stage.margin)
            if below:
                counts.notes.append(f"{below} candidates were below min_score or margin")
        ended = clock()
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
        )

    def _skipped(self, number: int, alive: int, reason: str) -> StageTrace:
        part = self.scorers[number].part
        return StageTrace(self.names[number], part.spec.kind, part.session.provider, alive, 0, alive, note=reason)

    def _collect(self, pool: Pool, number: int, request: Request, scored: Scored) -> None:
        try:
            pool.collect(number, scored.positions, scored.outputs, scored.columns)
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
        scores: NDArray[np.float32],
    ) -> None:
        """Turn logits into the scores that are shown, in place; the order is already decided."""
        for number, spec in enumerate(self.specs):
            if spec.output.squashed:
                scores[:, number] = _sigmoid(scores[:, number])
        if self._shows_last:
            places = np.flatnonzero(reached >= 0)
            values[places] = scores[places, reached[places]]
        if request.candidates.scores is None:
            values[reached < 0] = np.nan


def _skip_reason(stage: Stage, request: Request, alive: int) -> str:
    """Why the stage does not run for this request; empty where it does."""
    if stage.candidates_over is not None and alive <= stage.candidates_over:
        return f"skipped: {alive} candidates, it runs for more than {stage.candidates_over}"
    if stage.stored is not None and stage.stored != request.stored:
        known = "all" if request.stored else "not all"
        return f"skipped: {known} documents are in the store, it runs where {'all' if stage.stored else 'not all'} are"
    return ""


def _unique_names(stages: Sequence[Stage], specs: Sequence[ModelSpec]) -> tuple[str, ...]:
    names = [stage.name or spec.name for stage, spec in zip(stages, specs, strict=True)]
    return tuple(name if names.index(name) == number else f"{name}#{number + 1}" for number, name in enumerate(names))


def _fusion(config: CascadeConfig, specs: Sequence[ModelSpec]) -> Fusion:
    calibrations = [(1.0, 0.0)]  # of the first pass, which a weighted sum leaves out
    for stage, spec in zip(config.stages, specs, strict=True):
        if config.fusion == "weighted" and stage.weight > 0 and spec.calibration is None:
            raise ConfigError(
                f"stage {spec.name!r}: fusion 'weighted' needs a fitted [calibration] in {spec.folder}/model.toml; "
                "use fusion = 'convex', or weight = 0 for this stage"
            )
        calibrations.append(spec.calibration or (1.0, 0.0))
    weights = [config.first_weight, *(stage.weight for stage in config.stages)]
    return Fusion(config.fusion, config.normalisation, config.rrf_k, weights, calibrations)


def _min_logit(stage: Stage, spec: ModelSpec) -> float | None:
    """The logit at which the shown score is ``min_score``: limits work on logits, never on squashed scores."""
    if stage.min_score is None or not spec.output.squashed:
        return stage.min_score
    return math.log(stage.min_score / (1.0 - stage.min_score))


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    values = logits.astype(np.float64)
    small = np.exp(-np.abs(values))  # never overflows
    result: NDArray[np.float64] = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return result
