"""Slow, obvious Python for what the native kernels do; the property tests compare the two. Never used by the package.

Sums run in the order the kernels document, so that doubles agree to the last bit and ties stay ties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

QUERY, DOCUMENT = -1, -2


@dataclass(frozen=True)
class Form:
    """A template: token ids, ``QUERY`` and ``DOCUMENT`` in order; one segment id per part, or none."""

    parts: Sequence[int]
    segments: Sequence[int]
    pad: int
    position_offset: int
    max_length: int

    def special(self) -> int:
        return sum(1 for part in self.parts if part >= 0)


@dataclass(frozen=True)
class Row:
    """One row of a micro-batch, padded to its width."""

    ids: list[int]
    mask: list[int]
    types: list[int]
    positions: list[int]


def row_length(document: Sequence[int], query_length: int, form: Form) -> int:
    room = form.max_length - form.special() - query_length
    if room < 1:
        raise ValueError("no room")
    return form.special() + query_length + min(len(document), room)


def make_row(query: Sequence[int], document: Sequence[int], form: Form, width: int) -> Row:
    room = form.max_length - form.special() - len(query)
    ids: list[int] = []
    types: list[int] = []
    for number, part in enumerate(form.parts):
        tokens = {QUERY: list(query), DOCUMENT: list(document)[:room]}.get(part, [part])
        ids += tokens
        types += [form.segments[number] if form.segments else 0] * len(tokens)
    pads = width - len(ids)
    return Row(
        ids + [form.pad] * pads,
        [1] * len(ids) + [0] * pads,
        types + [0] * pads,
        list(range(form.position_offset, form.position_offset + len(ids))) + [form.position_offset] * pads,
    )


def plan(
    lengths: Sequence[int], token_budget: int, max_rows: int, window: int, width_multiple: int, packed: bool
) -> list[tuple[list[int], int]]:
    """Micro-batches as (positions, width). Inside each window the longest rows come first, equal ones as they came; a
    micro-batch takes rows until the next would break a limit."""
    batches: list[tuple[list[int], int]] = []
    for start in range(0, len(lengths), window):
        waiting = sorted(range(start, min(start + window, len(lengths))), key=lambda row: (-lengths[row], row))
        while waiting:
            batch = [waiting.pop(0)]
            width = math.ceil(lengths[batch[0]] / width_multiple) * width_multiple
            while waiting and len(batch) < max_rows:
                grown = [*batch, waiting[0]]
                cost = sum(lengths[row] for row in grown) if packed else width * len(grown)
                if cost > token_budget:
                    break
                batch.append(waiting.pop(0))
            batches.append((batch, width))
    return batches


def topk(scores: Sequence[float], k: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:k]


def fuse(
    kind: str,
    normalisation: str,
    rrf_k: float,
    sources: Sequence[tuple[float, Sequence[float], tuple[float, float]]],
) -> list[float]:
    """``sources``: (weight, scores in the previous order, line to log-odds), the last one is the stage just scored."""
    if kind == "last":
        return list(sources[-1][1])
    total = 0.0
    for weight, _, _ in sources:
        total += weight
    values = [0.0] * len(sources[-1][1])
    for weight, scores, calibration in sources:
        share = weight / total
        if kind == "rrf":
            parts = _reciprocal_ranks(scores, rrf_k, share)
        elif kind == "convex":
            parts = _normalised(scores, normalisation, share)
        else:
            parts = [share * (calibration[0] * score + calibration[1]) for score in scores]
        for index, part in enumerate(parts):
            values[index] += part
    return values


def _reciprocal_ranks(scores: Sequence[float], rrf_k: float, share: float) -> list[float]:
    order = topk(scores, len(scores))
    return [share / (rrf_k + 1 + order.index(index)) for index in range(len(scores))]


def _normalised(scores: Sequence[float], normalisation: str, share: float) -> list[float]:
    if normalisation == "min-max":
        centre, spread = min(scores), max(scores) - min(scores)
    else:
        centre = 0.0
        for score in scores:
            centre += score
        centre /= len(scores)
        squares = 0.0
        for score in scores:
            squares += (score - centre) * (score - centre)
        spread = math.sqrt(squares / len(scores))
    if spread <= 1e-12 * max(abs(score) for score in scores):
        return [0.0] * len(scores)
    return [share * (score - centre) / spread for score in scores]


@dataclass
class Settled:
    """Where a candidate was last ordered: by which stage (-1: the first pass), above or below its limits, by what
    value, and in which place of the order before."""

    stage: int
    failed: bool
    value: float
    place: int


@dataclass
class Pool:
    """One request's candidates. The final ranking is one sort: later stage first, within limits first, then value
    descending, then the previous order."""

    size: int
    first: Sequence[float] | None
    stages: int
    kind: str = "last"
    normalisation: str = "z-score"
    rrf_k: float = 60.0
    weights: Sequence[float] = ()
    calibrations: Sequence[tuple[float, float]] = ()
    alive: list[int] = field(default_factory=list)
    logits: list[dict[int, float]] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)

    def __post_init__(self) -> None:
        first = [0.0] * self.size if self.first is None else self.first
        self.alive = topk(first, self.size)
        self.logits = [{} for _ in range(self.stages)]
        self.settled = [Settled(-1, False, first[index], index) for index in range(self.size)]

    def collect(self, stage: int, positions: Sequence[int], logits: Sequence[float]) -> None:
        for position, logit in zip(positions, logits, strict=True):
            self.logits[stage][self.alive[position]] = logit

    def prune(self, stage: int, keep: int, min_logit: float | None, margin: float | None) -> tuple[int, int, int]:
        logits = self.logits[stage]
        places = [place for place, candidate in enumerate(self.alive) if candidate in logits]
        scored = [self.alive[place] for place in places]
        if not scored:
            self.alive = []
            return 0, 0, 0
        sources = []
        if self.first is not None:
            calibration = self.calibrations[0] if self.calibrations else (1.0, 0.0)
            sources.append((self._weight(0), [self.first[c] for c in scored], calibration))
        for before in range(stage + 1):
            if self.logits[before]:
                calibration = self.calibrations[before + 1] if self.calibrations else (1.0, 0.0)
                sources.append((self._weight(before + 1), [self.logits[before][c] for c in scored], calibration))
        values = fuse(self.kind, self.normalisation, self.rrf_k, sources)
        best = max(logits[c] for c in scored)
        for candidate, place, value in zip(scored, places, values, strict=True):
            failed = (min_logit is not None and logits[candidate] < min_logit) or (
                margin is not None and logits[candidate] < best - margin
            )
            self.settled[candidate] = Settled(stage, failed, value, place)
        passed = sorted((c for c in scored if not self.settled[c].failed), key=self._key)
        self.alive = passed[:keep]
        return len(scored), len(self.alive), len(scored) - len(passed)

    def _weight(self, source: int) -> float:
        return self.weights[source] if self.weights else 1.0

    def _key(self, candidate: int) -> tuple[int, bool, float, int]:
        where = self.settled[candidate]
        return (-where.stage, where.failed, -where.value, where.place)

    def order(self) -> list[int]:
        return sorted(range(self.size), key=self._key)
