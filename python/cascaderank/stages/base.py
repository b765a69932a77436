"""What every kind of scorer shares: a model folder made ready, its plan, and one stage's counts and times."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cascaderank.config import Stage
from cascaderank.cost import Cost
from cascaderank.errors import InputError, ModelError, ScoreError
from cascaderank.job import clock
from cascaderank.kernels import DOCUMENT, QUERY, Int64, Plan, PlanRule, Ragged, Template, pack, plan
from cascaderank.manifest import PAIRED
from cascaderank.model import ModelSpec
from cascaderank.request import Request
from cascaderank.schedule import Workers
from cascaderank.session import Session
from cascaderank.stages.micro_batches import Keep, MicroBatches, Run
from cascaderank.tokenizer import TextTokenizer

Float32 = NDArray[np.float32]
_KEPT_TOKENS = 1 << 18  # a request of 1000 documents of 256 tokens; larger buffers are not kept between requests
_KEPT_BUFFERS = 8  # requests that may leave their buffers to later ones


@dataclass(slots=True)
class Counts:
    """One stage's work in one request, added up; times in seconds."""

    tokens: int = 0
    tensor_tokens: int = 0
    micro_batches: int = 0
    shared_runs: int = 0
    truncated_texts: int = 0
    truncated_tokens: int = 0
    truncated_query_tokens: int = 0
    tokenize_s: float = 0.0
    encode_s: float = 0.0
    pack_s: float = 0.0
    run_s: float = 0.0
    model_s: float = 0.0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scored:
    """What a stage made of the candidates alive: ``positions`` int64 ``[m]`` (places in ``alive``) and ``outputs``
    float32 ``[m * columns]``, fewer than alive when the deadline came first."""

    positions: Int64
    outputs: Float32
    columns: int


class Scorer(Protocol):
    """One module per kind of scorer implements this; the cascade knows no more of a stage."""

    part: ModelPart

    def check_query(self, request: Request) -> None: ...

    def score(self, request: Request, alive: Int64, counts: Counts) -> Scored: ...


@dataclass(slots=True)
class ModelPart:
    """A model folder ready to run in one stage: session, tokenizer, workers and the limits of its micro-batches.

    ``instruction`` is what the stage tells a decoder to judge by; None leaves it to the manifest. ``lanes`` bounds the
    runs that go side by side, None: one per worker.
    """

    spec: ModelSpec
    session: Session
    tokenizer: TextTokenizer
    workers: Workers
    rule: PlanRule
    instruction: str | None = None
    lanes: int | None = None
    cost: Cost = field(default_factory=Cost)
    tokenize_cost: Cost = field(default_factory=Cost)
    _stage_costs: tuple[Cost, Cost] = field(default_factory=lambda: (Cost(), Cost()))
    _buffers: deque[dict[str, Int64]] = field(default_factory=lambda: deque(maxlen=_KEPT_BUFFERS))

    def stage_cost(self, stored: bool) -> Cost:
        """What the whole stage costs by its candidates, with the machine to itself; an encoder's where the store has
        their vectors is another one."""
        return self._stage_costs[stored and self.spec.kind not in PAIRED]

    def template(self, entries: tuple[str, ...]) -> Template:
        """Resolve a manifest template to ids."""
        spec = self.spec
        texts = {"$query": QUERY, "$document": DOCUMENT, "$text": DOCUMENT}
        parts = [texts[entry] if entry in texts else self.tokenizer.token_id(entry) for entry in entries]
        pad = self.tokenizer.token_id(spec.input.pad_token)
        return Template(parts, list(spec.input.segments), pad, spec.input.position_offset, spec.max_length)

    def query(self, request: Request, counts: Counts, room: int, cut: int | None = None) -> Int64:
        """The query's tokens. More than ``room`` are refused or, where the cascade allows that by name, cut to ``cut``
        (``room`` by default)."""
        said = self.instruction if request.instruction is None else request.instruction
        wording = self.spec.input.query_wording(said)
        query = request.query_tokens(self.tokenizer, wording)
        if len(query) <= room:
            return query
        if not request.truncate_query:
            size = f"{len(query)} tokens{' with its instruction and template' if wording.always else ''}"
            raise InputError(
                f"query: {size}, but stage {self.spec.name!r} takes at most {room} (max_length "
                f"{self.spec.max_length}); shorten it, or set truncate_query = true in [cascade]"
            )
        kept = room if cut is None else min(room, cut)
        counts.truncated_query_tokens += len(query) - kept
        if not wording.suffix:
            return query[:kept]
        tail = self.tokenizer.encode(wording.suffix)
        return np.concatenate([query[: max(kept - len(tail), 0)], tail])

    def query_room(self, form: Template) -> int:
        """Tokens a query may have: the window less special tokens and, in a pair, one document token."""
        special = sum(1 for part in form.parts if part >= 0)
        texts = len(form.parts) - special
        room = form.max_length - special - (texts - 1)
        if room < 1:
            raise ModelError(
                f"{self.spec.folder}: max_length {form.max_length} leaves no room for a text beside {special} special "
                "tokens; correct max_length in model.toml"
            )
        return room

    def plan(self, texts: Ragged, rows: Int64, query: Int64, form: Template, request: Request, counts: Counts) -> Plan:
        begun = clock()
        rule = self.rule
        if request.budget.due is not None:
            # Best first: rows are sorted by length only inside windows of one micro-batch, which is one row on a CPU.
            rows_together = 1 if self.session.parallel else rule.max_rows
            rule = PlanRule(rule.token_budget, rows_together, rows_together, rule.width_multiple)
        made = plan(texts, rows, len(query), form, rule)
        counts.truncated_texts += made.truncated_texts
        counts.truncated_tokens += made.truncated_tokens
        counts.pack_s += clock() - begun
        return made

    def execute(
        self,
        made: Plan,
        query: Int64,
        texts: Ragged,
        rows: Int64,
        form: Template,
        request: Request,
        counts: Counts,
        keep: Keep,
        unattended: int = 0,
        run: Run | None = None,
    ) -> list[int]:
        """Fill the tensors of a plan, run its micro-batches, hand each output to ``keep(batch, tensors, output)``.

        ``run`` is called in place of the runner's own (a decoder has a second output, and an input more).

        ``unattended`` hides that many tokens at the end of a single-row plan from attention (query expansion). Returns
        the micro-batches that were completed.
        """
        begun = clock()
        buffers = self._take_buffers(made.tokens)
        tensors = {role: buffer[: made.tokens] for role, buffer in buffers.items()}
        pack(made, query, texts, rows, form, tensors)
        if unattended and "attention_mask" in tensors:
            end = int(made.lengths[0])
            tensors["attention_mask"][end - unattended : end] = 0
        counts.pack_s += clock() - begun
        shares = run is None and self.spec.batch_invariant and self.rule.max_rows > 1
        work = MicroBatches(made, form, tensors, keep, run, self.rule if shares else None)
        log = self.workers.run(self.session, work, self.cost, request.budget, self.lanes)
        self._give_back(buffers)
        counts.run_s += log.wall_s
        counts.model_s += log.model_s / log.lanes
        counts.micro_batches += len(log.done)
        counts.shared_runs += log.shared
        if len(log.done) == len(made):
            counts.tokens += made.used_tokens
            counts.tensor_tokens += made.tokens
        else:
            for batch in log.done:
                held = made.order[made.bounds[batch] : made.bounds[batch + 1]]
                counts.tokens += int(made.lengths[held].sum())
                counts.tensor_tokens += work.tokens[batch]
        return log.done

    def _take_buffers(self, tokens: int) -> dict[str, Int64]:
        """Flat input buffers of at least ``tokens`` elements, from an earlier request where one left any."""
        try:
            buffers = self._buffers.pop()
        except IndexError:
            buffers = {}
        if not buffers or len(buffers["input_ids"]) < tokens:
            buffers = {role: np.empty(tokens, np.int64) for role in self.spec.input.names if role != "past"}
        return buffers

    def _give_back(self, buffers: dict[str, Int64]) -> None:
        if len(buffers["input_ids"]) <= _KEPT_TOKENS:
            self._buffers.append(buffers)

    def not_finite(
        self, request: Request, candidates: Int64 | None, tensors: dict[str, Int64], output: Float32
    ) -> ScoreError:
        """The error for a micro-batch of vectors that are not numbers; ``candidates`` int64 ``[rows]`` are its
        documents, None: it is the query."""
        what = "the query"
        if candidates is not None:
            fine = np.all(np.isfinite(output).reshape(len(output), -1, output.shape[-1]), axis=2)
            if output.ndim == 3 and "attention_mask" in tensors:
                fine = fine | (tensors["attention_mask"] == 0)  # padding may hold anything
            bad = int(np.argmin(np.all(fine, axis=1)))
            what = request.candidates.describe(int(candidates[bad]))
        return ScoreError(
            f"stage {self.spec.name!r}: the model's output for {what} is not finite (overflow of an fp16 model is the "
            f"usual cause); look at it with `cascaderank check {self.spec.folder}`"
        )

    def positions(self, made: Plan, done: list[int]) -> Int64:
        """Positions of the rows in the completed micro-batches, in the plan's order."""
        if len(done) == len(made):
            return made.order
        parts = [made.order[made.bounds[batch] : made.bounds[batch + 1]] for batch in done]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)


def plan_rule(stage: Stage, spec: ModelSpec, session: Session) -> PlanRule:
    """Limits of a micro-batch, from what was measured (bench/README.md).

    On a CPU one row per run: nothing is padded, activations stay in the cache, the workers finish close together, any
    run can be the last before a deadline, and a dynamically quantised model cannot let a neighbour move a score. On a
    device rows share a run up to 16384 tokens, widths rounded up to 32 so that buffers are reused; a model that is not
    batch-invariant still goes alone.
    """
    alone = session.parallel or not spec.batch_invariant
    return PlanRule(
        token_budget=stage.token_budget or 16_384,
        max_rows=stage.max_rows or (1 if alone and stage.token_budget is None else 128),
        window=1 << 40,
        width_multiple=1 if session.parallel else 32,
    )


def check_precision(stage: Stage, spec: ModelSpec) -> None:
    held = "fp32" if stage.precision == "bf16" else stage.precision  # OpenVINO rounds while it computes
    if held is not None and held != spec.precision:
        raise ModelError(
            f"stage {spec.name!r}: precision {stage.precision!r} was asked for, {spec.folder} holds {spec.precision}; "
            "point model at a folder of that precision (cascaderank export --precision)"
        )
