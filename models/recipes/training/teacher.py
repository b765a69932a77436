"""A teacher that remembers: it takes longer to read a pair than its student, so pairs come again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from exporting.pair_head import PairModel
from training.groups import Group
from training.lessons import Known, Part, read

REMEMBERED = 1500  # groups; a pair's hidden states take about 100 kB in half precision


@dataclass(slots=True)
class Teacher:
    """What a model says of groups; of the last `REMEMBERED` ones it is not computed again."""

    model: PairModel
    _memory: dict[int, tuple[Group, Known]] = field(default_factory=dict)

    @torch.no_grad()
    def __call__(self, group: Group, pieces: list[Part]) -> Known:
        """Hidden states float16 and logits float32 of each part."""
        if id(group) in self._memory:
            return self._memory[id(group)][1]
        known: list[tuple[Tensor, Tensor]] = []
        for part in pieces:
            hidden, logits = read(self.model, part.inputs)
            known.append((hidden.half(), logits))
        self._memory[id(group)] = group, known
        while len(self._memory) > REMEMBERED:
            del self._memory[next(iter(self._memory))]
        return known


class Again:
    """Steps that come again: after each new step `times` others of the last ones, drawn anew each time."""

    def __init__(self, draw: Callable[[], list[Group]], times: int, seed: int, kept: int = 150) -> None:
        """`kept` steps are chosen from; together they must be fewer groups than a teacher remembers."""
        self._draw, self._times, self._kept = draw, times, kept
        self._rng, self._steps, self._turn = np.random.default_rng([seed, 5]), [], 0  # type: ignore[var-annotated]

    def groups(self) -> list[Group]:
        """One step's groups."""
        self._turn += 1
        if self._turn % (self._times + 1) and len(self._steps) == self._kept:
            chosen: list[Group] = self._steps[int(self._rng.integers(self._kept))]
            return chosen
        self._steps = [*self._steps, self._draw()][-self._kept :]
        return list(self._steps[-1])
