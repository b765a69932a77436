"""What a request gives back: a ranking of hits and a trace. Frozen, plain, built lazily."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class StageTrace:
    """What happened in one stage; times in milliseconds.

    ``tokens`` counts tokens sent to the model (padding excluded), ``padding`` is the share of the tensors' tokens that
    was padding, ``run_ms`` the wall time of the micro-batches, ``model_ms`` the part of it inside ``session.run`` (per
    worker), ``encode_ms`` the time spent encoding documents that had no stored vectors. ``scored`` may be less than
    ``candidates_in`` under a deadline; ``spared`` candidates were not scored as they could not get through any more.
    """

    name: str
    kind: str
    provider: str
    candidates_in: int
    scored: int
    candidates_out: int
    tokens: int = 0
    padding: float = 0.0
    micro_batches: int = 0
    truncated_documents: int = 0
    truncated_tokens: int = 0
    truncated_query_tokens: int = 0
    tokenize_ms: float = 0.0
    encode_ms: float = 0.0
    pack_ms: float = 0.0
    run_ms: float = 0.0
    model_ms: float = 0.0
    prune_ms: float = 0.0
    total_ms: float = 0.0
    note: str = ""
    spared: int = 0


_COLUMNS = (
    ("stage", "<"),
    ("on", "<"),
    ("in", ">"),
    ("out", ">"),
    ("tokens", ">"),
    ("pad", ">"),
    ("runs", ">"),
    ("cut", ">"),
    ("tokenize", ">"),
    ("pack", ">"),
    ("model", ">"),
    ("wait", ">"),
    ("prune", ">"),
    ("ms", ">"),
)


def _cells(stage: StageTrace) -> tuple[str, ...]:
    times = (
        stage.tokenize_ms,
        stage.pack_ms,
        stage.model_ms,
        stage.run_ms - stage.model_ms,
        stage.prune_ms,
        stage.total_ms,
    )
    counts = (stage.candidates_in, stage.candidates_out, stage.tokens)
    runs = (f"{stage.padding:.0%}", str(stage.micro_batches), str(stage.truncated_documents))
    return (stage.name, stage.provider, *map(str, counts), *runs, *(f"{time:.2f}" for time in times))


@dataclass(frozen=True, slots=True)
class Trace:
    """``total_ms`` is the whole request, ``outside_ms`` the part of it not spent inside ``session.run``."""

    stages: tuple[StageTrace, ...]
    total_ms: float
    read_ms: float
    finish_ms: float

    @property
    def model_ms(self) -> float:
        return sum(stage.model_ms for stage in self.stages)

    @property
    def outside_ms(self) -> float:
        return self.total_ms - self.model_ms

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "model_ms": self.model_ms, "outside_ms": self.outside_ms}

    def table(self) -> str:
        """The trace as aligned text, milliseconds with two decimals; notes follow below the table."""
        rows = [tuple(name for name, _ in _COLUMNS), *map(_cells, self.stages)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        lines = [
            "  ".join(f"{cell:{align}{width}}" for cell, (_, align), width in zip(row, _COLUMNS, widths, strict=True))
            for row in rows
        ]
        share = self.outside_ms / self.total_ms if self.total_ms else 0.0
        lines.append(f"total {self.total_ms:.2f} ms, {self.outside_ms:.2f} ms ({share:.1%}) of it outside session.run")
        lines += [f"{stage.name}: {stage.note}" for stage in self.stages if stage.note]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Hit:
    """One ranked document.

    ``index`` is its place in the caller's list (0-based), ``rank`` its place in the ranking (1-based). ``stage`` is the
    last stage that scored it (None: no stage did). ``score`` is what ordered it among those that reached the same
    stage: that stage's score, or the fused value; None where nothing is known. ``scores`` has one entry per stage, None
    where it was not scored. ``probability`` is that of the stage's fitted calibration, None where its model has none or
    was fitted under another instruction.
    """

    index: int
    id: str
    rank: int
    score: float | None
    stage: str | None
    scores: tuple[float | None, ...]
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Ranking(Sequence[Hit]):
    """The hits, best first. ``kept`` of them passed every cut-off; the rest follow in the order of the stage they
    reached.

    ``order`` int64 ``[m]`` are the caller's indices. ``degraded`` says that work was skipped to meet the deadline,
    ``reasons`` what and why. ``logits`` float32 ``[m, stages]`` are the models' raw outputs, NaN where not scored.
    """

    order: NDArray[np.int64]
    ids: Sequence[str]
    kept: int
    stages: tuple[str, ...]
    reached: NDArray[np.int64] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    reasons: tuple[str, ...] = ()
    trace: Trace = field(default_factory=lambda: Trace((), 0.0, 0.0, 0.0), repr=False)
    logits: NDArray[np.float32] | None = field(default=None, repr=False)
    probabilities: NDArray[np.float64] | None = field(default=None, repr=False)

    @property
    def degraded(self) -> bool:
        return bool(self.reasons)

    def __len__(self) -> int:
        return len(self.order)

    def _hit(self, place: int) -> Hit:
        index = int(self.order[place])
        reached = int(self.reached[place])
        value = float(self.values[place])
        chance = math.nan if self.probabilities is None else float(self.probabilities[place])
        return Hit(
            index=index,
            id=self.ids[index] if self.ids else str(index),
            rank=place + 1,
            score=None if value != value else value,
            stage=self.stages[reached] if reached >= 0 else None,
            scores=tuple(None if score != score else float(score) for score in self.scores[place].tolist()),
            probability=None if chance != chance else chance,
        )

    @overload
    def __getitem__(self, place: int) -> Hit: ...

    @overload
    def __getitem__(self, place: slice) -> list[Hit]: ...

    def __getitem__(self, place: int | slice) -> Hit | list[Hit]:
        if isinstance(place, slice):
            return [self._hit(number) for number in range(*place.indices(len(self)))]
        number = place + len(self) if place < 0 else place
        if not 0 <= number < len(self):
            raise IndexError(f"rank {place} of {len(self)} hits")
        return self._hit(number)

    def __iter__(self) -> Iterator[Hit]:
        return (self._hit(place) for place in range(len(self)))

    def run(self) -> dict[str, float]:
        """Id -> strictly decreasing score, for evaluation tools that re-sort by score (TREC run: 1 / rank)."""
        return {hit.id: 1.0 / hit.rank for hit in self}
