"""How each stage runs on this machine, chosen by a short measurement; and everything touched once before it counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from cascaderank.config import Stage
from cascaderank.documents import read_documents
from cascaderank.job import Budget, clock
from cascaderank.request import Request
from cascaderank.session import Session
from cascaderank.stages import Counts, Scorer
from cascaderank.stages.base import ModelPart

_WORD = "river "
_LENGTHS = (12, 40, 120, 24)  # words of the documents that are measured with: a mix, as requests have
_DOCUMENTS = 8
_ROUNDS = 3
_ENOUGH_S = 0.5  # for one stage; a model so slow that a round takes this long is measured once
_WORTH = 0.95  # another plan must take less than this share of the usual one's time, in every round
_SHARED_TOKENS = (256, 512)  # micro-batches of short rows


@dataclass(frozen=True, slots=True)
class RunPlan:
    """How a stage's rows are run: at most ``max_rows`` rows and ``token_budget`` tokens in one run, ``lanes`` runs side
    by side, ``threads`` working inside each. ``seconds`` is what it took beside the others, 0.0 where nothing was
    compared."""

    token_budget: int
    max_rows: int
    lanes: int
    threads: int
    seconds: float = 0.0

    def __str__(self) -> str:
        rows = "one row" if self.max_rows == 1 else f"rows of up to {self.token_budget} tokens together"
        inside = "" if self.threads == 1 else f", {self.threads} threads in each"
        return f"{rows} a run, {self.lanes} run{'s' * (self.lanes != 1)} side by side{inside}"


@dataclass(frozen=True, slots=True)
class Warmed:
    """What ``Cascade.warm_up`` found for one stage: the plan it runs by from now on, and all that were compared (empty
    where the cascade file or the device leaves no choice)."""

    stage: str
    plan: RunPlan
    compared: tuple[RunPlan, ...] = ()


def warm_up(name: str, stage: Stage, scorer: Scorer, plan: RunPlan | None = None) -> Warmed:
    """Choose the plan of one stage (or take ``plan``), then run it at its largest shape, so that the first request
    finds memory that was allocated and costs that are known."""
    part = scorer.part
    usual = _plan_of(part)
    found: tuple[RunPlan, ...] = ()
    if plan is not None:
        _apply(part, plan)
    elif others := list(_others(stage, part, usual)):
        found = _compare(scorer, [usual, *others])
        _apply(part, min(found, key=lambda each: each.seconds))
    _run(scorer, [_text(part.spec.max_length)] * part.workers.size)
    _run(scorer, [_text(length) for length in _LENGTHS])
    return Warmed(name, replace(_plan_of(part), seconds=min((each.seconds for each in found), default=0.0)), found)


def _others(stage: Stage, part: ModelPart, usual: RunPlan) -> Iterator[RunPlan]:
    """Plans worth a try beside the usual one: on the processor, and as far as the cascade file does not say."""
    size = part.workers.size
    if not part.session.parallel:
        return
    if stage.threads is None and size > 1:
        yield replace(usual, lanes=1, threads=size)
        if size >= 4:  # two threads of one core share its arithmetic units
            yield replace(usual, lanes=size // 2)
    if part.spec.batch_invariant and stage.token_budget is None and stage.max_rows is None:
        for tokens in _SHARED_TOKENS:
            yield replace(usual, token_budget=tokens, max_rows=128)


def _compare(scorer: Scorer, plans: Sequence[RunPlan]) -> tuple[RunPlan, ...]:
    """Run all in turn, the usual one first; those that are not clearly better get at least its time."""
    part = scorer.part
    texts = [_text(_LENGTHS[number % len(_LENGTHS)]) for number in range(_DOCUMENTS)]
    sessions = {part.session.threads: part.session}
    times: list[list[float]] = [[] for _ in plans]
    started = clock()
    for round_ in range(_ROUNDS + 1):
        for place, plan in enumerate(plans):
            with _as(part, plan, sessions):
                took = _run(scorer, texts)
            if round_:  # the first round finds cold memory
                times[place].append(took)
        if round_ and clock() - started > _ENOUGH_S:
            break
    usual = median(times[0])
    seconds = [usual]
    for own in times[1:]:
        clear = all(mine < _WORTH * its for mine, its in zip(own, times[0], strict=True))
        seconds.append(median(own) if clear else max(median(own), usual))
    return tuple(replace(plan, seconds=took) for plan, took in zip(plans, seconds, strict=True))


@contextmanager
def _as(part: ModelPart, plan: RunPlan, sessions: dict[int, Session]) -> Iterator[None]:
    before = part.session, part.rule, part.lanes
    if plan.threads not in sessions:
        sessions[plan.threads] = part.session.with_threads(plan.threads)
    part.session = sessions[plan.threads]
    _apply(part, plan)
    try:
        yield
    finally:
        part.session, part.rule, part.lanes = before


def _apply(part: ModelPart, plan: RunPlan) -> None:
    part.rule = replace(part.rule, token_budget=plan.token_budget, max_rows=plan.max_rows)
    part.lanes = plan.lanes
    if part.session.threads != plan.threads:
        part.session = part.session.with_threads(plan.threads)


def _plan_of(part: ModelPart) -> RunPlan:
    threads = part.session.threads
    lanes = min(part.lanes or part.workers.size, max(part.workers.size // threads, 1)) if part.session.parallel else 1
    return RunPlan(part.rule.token_budget, part.rule.max_rows, lanes, threads)


def _run(scorer: Scorer, texts: list[str]) -> float:
    request = Request("warm up", read_documents(texts, None, len(texts)), None, None, Budget())
    counts = Counts()
    begun = clock()
    scorer.score(request, np.arange(len(texts)), counts)
    seconds = clock() - begun
    scorer.part.stage_cost(False).observe(len(texts), counts.model_s + seconds - counts.run_s)
    return seconds


def _text(words: int) -> str:
    return _WORD * words
