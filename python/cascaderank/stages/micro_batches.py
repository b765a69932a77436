"""The micro-batches of one stage in one request, as a worker runs them: alone, or in one run with other requests'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from cascaderank.job import clock
from cascaderank.kernels import Int64, Plan, PlanRule, Template
from cascaderank.session import OutOfMemory, Runner

Tensors = dict[str, Int64]
Keep = Callable[[int, Tensors, Any], None]
Run = Callable[[Runner, Tensors, Any], Any]

_WASTE = 1.25  # a shared run may be so many times as large as its parts, for the widths that they are padded to


class MicroBatches:
    """``buffers`` are flat, as ``kernels.pack`` filled them after ``plan``; each output goes to
    ``keep(batch, tensors, output)``.

    ``run`` is called in place of the runner's own. ``rule`` bounds a run that requests share; None: they never do.
    """

    def __init__(
        self,
        plan: Plan,
        form: Template,
        buffers: Tensors,
        keep: Keep,
        run: Run | None = None,
        rule: PlanRule | None = None,
    ) -> None:
        bounds, widths, offsets = plan.bounds, plan.widths, plan.offsets
        self.tokens: Sequence[int] = [offsets[batch + 1] - offsets[batch] for batch in range(len(plan))]
        self._bounds, self._widths, self._offsets = bounds, widths, offsets
        self._flat = list(buffers.items())
        self._form = form
        self._keep = keep
        self._call = run or _plain_run
        self._rule = rule

    @property
    def shares(self) -> bool:
        """Whether a run may hold rows of other requests, too."""
        return self._rule is not None

    def tensors(self, batch: int) -> Tensors:
        """The inputs of one micro-batch, int64 ``[rows, width]`` each; views of the buffers."""
        start, stop = self._offsets[batch], self._offsets[batch + 1]
        shape = (self._rows(batch), self._widths[batch])
        return {role: buffer[start:stop].reshape(shape) for role, buffer in self._flat}

    def run(self, batch: int, runner: Runner, options: Any) -> float:
        """Returns the seconds inside the model."""
        tensors = self.tensors(batch)
        started = clock()
        output = _run_halving(self._call, runner, tensors, options)
        seconds = clock() - started
        self._keep(batch, tensors, output)
        return seconds

    def together(self, members: Sequence[tuple[Self, int]]) -> int:
        """Tokens of a run of all ``members`` (each with one of its micro-batches), 0 where they do not fit into one."""
        rule = self._rule
        if rule is None:
            return 0
        rows = sum(one._rows(batch) for one, batch in members)
        width = max(one._widths[batch] for one, batch in members)
        tokens = rows * width
        own = sum(one.tokens[batch] for one, batch in members)
        fits = rows <= rule.max_rows and tokens <= min(rule.token_budget, _WASTE * own)
        if "attention_mask" not in dict(self._flat):
            fits = fits and all(one._widths[batch] == width for one, batch in members)
        return tokens if fits else 0

    def run_together(
        self, members: Sequence[tuple[Self, int]], runner: Runner, options: Any
    ) -> list[float | BaseException]:
        """One run of all; for each member its share of the seconds inside the model by size, or what its ``keep``
        raised."""
        parts = [one.tensors(batch) for one, batch in members]
        tensors = _join(parts, self._form)
        started = clock()
        output = _run_halving(self._call, runner, tensors, options)
        seconds = clock() - started
        total = sum(one.tokens[batch] for one, batch in members)
        found: list[float | BaseException] = []
        start = 0
        for (one, batch), part in zip(members, parts, strict=True):
            rows, width = part["input_ids"].shape
            own = output[start : start + rows]
            if own.ndim == 3 and own.shape[1] != width:
                own = np.ascontiguousarray(own[:, :width])
            start += rows
            try:
                one._keep(batch, part, own)
                found.append(seconds * one.tokens[batch] / total)
            except Exception as error:  # noqa: BLE001  a member's own: raised where it waits
                found.append(error)
        return found

    def _rows(self, batch: int) -> int:
        return self._bounds[batch + 1] - self._bounds[batch]


def _join(parts: Sequence[Tensors], form: Template) -> Tensors:
    """All rows in one tensor of the largest width, the narrower ones padded as packing pads."""
    width = max(part["input_ids"].shape[1] for part in parts)
    rows = sum(len(part["input_ids"]) for part in parts)
    fill = {"input_ids": form.pad, "position_ids": form.position_offset}
    joined: Tensors = {}
    for role in parts[0]:
        whole = joined[role] = np.empty((rows, width), np.int64)
        start = 0
        for part in parts:
            held = part[role]
            stop = start + len(held)
            whole[start:stop, : held.shape[1]] = held
            whole[start:stop, held.shape[1] :] = fill.get(role, 0)
            start = stop
    return joined


def _plain_run(runner: Runner, tensors: Tensors, options: Any) -> Any:
    return runner.run(tensors, options)


def _run_halving(run: Run, runner: Runner, tensors: Tensors, options: Any) -> Any:
    """One run; where there is no memory for all its rows, one of each half of them."""
    try:
        return run(runner, tensors, options)
    except OutOfMemory:
        rows = len(tensors["input_ids"])
        if rows == 1:
            raise
        halves = (
            {role: view[part] for role, view in tensors.items()} for part in (slice(rows // 2), slice(rows // 2, rows))
        )
        # Copied: an output may be a view of a buffer that the next run writes.
        return np.concatenate([np.array(_run_halving(run, runner, half, options)) for half in halves])
