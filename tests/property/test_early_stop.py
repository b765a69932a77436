"""A stage that ends early gives what the exhaustive one gives, and ends as soon as that is certain."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cascaderank import kernels

logit = st.one_of(st.sampled_from([-5.0, -0.0, 0.0, 1.0, 9.0]), st.floats(-8, 8, width=32))
LARGEST = float(np.finfo(np.float32).max)


@st.composite
def tables(draw: st.DrawFn) -> kernels.Calibration:
    """Increasing tables with plateaus, and lines, which have no bound."""
    if draw(st.integers(0, 4)) == 0:
        return kernels.Calibration(0.5, 0.5, draw(st.sampled_from([-1.0, 0.0])), [], [])
    knots = sorted(draw(st.sets(st.integers(-4, 4), min_size=1, max_size=5)))
    steps = draw(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=len(knots), max_size=len(knots)))
    return kernels.Calibration(1.0, 1.0, 0.0, [float(knot) for knot in knots], np.cumsum(steps).tolist())


def start(columns: list[list[float]], fusion: kernels.Fusion) -> kernels.Pool:
    """A pool before its last stage; column 0 is the first pass."""
    first, *stages = columns
    pool = kernels.Pool()
    pool.reset(len(first), np.array(first, np.float32), len(stages), fusion)
    for stage, logits in enumerate(stages[:-1]):
        pool.collect(stage, np.arange(len(first)), np.array(logits, np.float32)[pool.alive()], 1)
        pool.prune(stage, len(first), None, None)
    return pool


def best(pool: kernels.Pool, stage: int, logits: dict[int, float], count: int) -> list[tuple[int, float]]:
    """The first ``count`` candidates and values when the last stage gives these logits, by candidate."""
    alive = pool.alive().tolist()
    places = [place for place, candidate in enumerate(alive) if candidate in logits]
    values = np.array([logits[alive[place]] for place in places], np.float32)
    pool.collect(stage, np.array(places, np.int64), values, 1)
    pool.prune(stage, count, None, None)
    order, _, fused, _ = pool.finish(count)
    return list(zip(order.tolist(), fused.tolist(), strict=True))


@given(st.data(), st.integers(1, 14), st.integers(2, 3))
def test_what_is_decided_cannot_change_and_what_is_not_can(data: st.DataObject, size: int, sources: int) -> None:
    columns = [data.draw(st.lists(logit, min_size=size, max_size=size)) for _ in range(sources)]
    weights = [data.draw(st.sampled_from([0.0, 0.5, 1.0]))]
    weights += [data.draw(st.sampled_from([0.25, 1.0, 3.0])) for _ in range(sources - 1)]
    maps = [data.draw(tables()) for _ in range(sources)]
    fusion = kernels.Fusion("weighted", "z-score", 60.0, weights, maps)
    count = data.draw(st.integers(1, size))
    last = sources - 2
    alive = start(columns, fusion).alive().tolist()
    scored = data.draw(st.integers(0, size))
    known = {candidate: columns[-1][candidate] for candidate in alive[:scored]}
    pool = start(columns, fusion)
    values = np.array([known[candidate] for candidate in alive[:scored]], np.float32)
    pool.collect(last, np.arange(scored), values, 1)
    decided = pool.decided(last, count)
    everything = known | {candidate: columns[-1][candidate] for candidate in alive[scored:]}
    largest = known | dict.fromkeys(alive[scored:], LARGEST)
    if decided:
        early = best(start(columns, fusion), last, known, count)
        assert early == best(start(columns, fusion), last, everything, count)
        assert early == best(start(columns, fusion), last, largest, count)
    else:
        early = [name for name, _ in best(start(columns, fusion), last, known, count)[: min(scored, count)]]
        assert early != [name for name, _ in best(start(columns, fusion), last, largest, count)]
