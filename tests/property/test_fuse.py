"""Fusion against the slow reference, through a pool of one or two stages that keep everything."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from cascaderank import kernels

KINDS = ["last", "rrf", "convex", "weighted"]
value = st.one_of(st.sampled_from([-2.0, -0.0, 0.0, 1.0, 1.0, 7.5]), st.floats(-30, 30, width=32))
weight = st.sampled_from([0.0, 0.3, 1.0, 2.5])
maps = st.tuples(st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([-1.0, 0.0, 2.0]))


@st.composite
def columns(draw: st.DrawFn, count: int) -> list[list[float]]:
    size = draw(st.integers(1, 14))
    return [draw(st.lists(value, min_size=size, max_size=size)) for _ in range(count)]


def lines(maps_: list) -> list[kernels.Calibration]:
    return [kernels.Calibration(a, a, b, [], []) for a, b in maps_]


def fused(kind: str, how: str, k: float, sources: list[list[float]], weights: list[float], maps_: list) -> list[float]:
    """Values per candidate; source 0 is the first pass, the others are stages, all over all candidates."""
    first, *stages = sources
    pool = kernels.Pool()
    pool.reset(
        len(first), np.array(first, np.float32), len(stages), kernels.Fusion(kind, how, k, weights, lines(maps_))
    )
    for stage, logits in enumerate(stages):
        pool.collect(stage, np.arange(len(first)), np.array(logits, np.float32)[pool.alive()], 1)
        pool.prune(stage, len(first), None, None)
    order, _, values, _ = pool.finish(len(first))
    found = np.empty(len(first))
    found[order] = values
    return found.tolist()


@given(columns(2), st.sampled_from(KINDS), st.sampled_from(["z-score", "min-max"]), weight, st.data())
def test_values_equal_the_reference(
    sources: list[list[float]], kind: str, how: str, first_weight: float, data: st.DataObject
) -> None:
    weights = [first_weight, data.draw(st.sampled_from([0.3, 1.0, 2.5]))]
    maps_ = [(1.0, 0.0), data.draw(maps)]
    # The kernel sees the candidates in the first pass's order; only a rank depends on that, and only among ties.
    order = reference.topk(sources[0], len(sources[0]))
    pairs = [
        (weights[number], [scores[index] for index in order], maps_[number]) for number, scores in enumerate(sources)
    ]
    expected = dict(zip(order, reference.fuse(kind, how, 60.0, pairs), strict=True))
    found = fused(kind, how, 60.0, sources, weights, maps_)
    assert found == pytest.approx([expected[index] for index in range(len(found))], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("how", ["z-score", "min-max"])
@pytest.mark.parametrize("flat", [0.0, 1 / 3, -1e6, 1e-30])
def test_a_source_without_spread_changes_nothing(how: str, flat: float) -> None:
    """Equal scores stay equal: rounding in their mean must not be blown up to whole units."""
    other = [3.0, -1.0, 2.0, 0.5, 0.5, 2.0, 9.0]
    alone = fused("convex", how, 60.0, [[0.0] * 7, other], [0.0, 1.0], [])
    beside = fused("convex", how, 60.0, [[flat] * 7, other], [1.0, 1.0], [])
    assert beside == pytest.approx([half / 2 for half in alone], abs=1e-12)
    assert fused("convex", how, 60.0, [[flat] * 7, [flat] * 7], [1.0, 1.0], []) == [0.0] * 7


def test_one_candidate_has_no_spread() -> None:
    for kind in ("convex", "rrf", "last", "weighted"):
        assert math.isfinite(fused(kind, "z-score", 60.0, [[4.0], [2.0]], [1.0, 1.0], [(1.0, 0.0)] * 2)[0])


def test_reciprocal_ranks_by_hand() -> None:
    """Ranks count from 1; the source with twice the weight counts twice."""
    found = fused("rrf", "z-score", 60.0, [[3.0, 2.0, 1.0], [1.0, 3.0, 2.0]], [1.0, 2.0], [])
    by_hand = [1 / 61 + 2 / 63, 1 / 62 + 2 / 61, 1 / 63 + 2 / 62]
    assert found == pytest.approx([score / 3 for score in by_hand])


def test_ties_of_a_rank_follow_the_previous_order() -> None:
    """Equal logits after a first pass that preferred candidate 1: it keeps the better rank."""
    found = fused("rrf", "z-score", 60.0, [[1.0, 2.0], [5.0, 5.0]], [0.0, 1.0], [])
    assert found[1] == pytest.approx(1 / 61)
    assert found[0] == pytest.approx(1 / 62)


@given(columns(2), st.floats(-5, 5, width=32), st.sampled_from([0.5, 2.0, 8.0]))
def test_convex_order_ignores_a_source_s_scale_and_offset(
    sources: list[list[float]], offset: float, scale: float
) -> None:
    """Normalised within the query: score * scale + offset is the same source."""
    grid = [[round(score * 4) / 4 for score in column] for column in sources]
    moved = [grid[0], [score * scale + round(offset) for score in grid[1]]]
    assert fused("convex", "min-max", 60.0, grid, [1.0, 1.0], []) == pytest.approx(
        fused("convex", "min-max", 60.0, moved, [1.0, 1.0], []), abs=1e-9
    )


@pytest.mark.parametrize("kind", ["rrf", "convex", "weighted"])
def test_weights_that_add_up_to_nothing_leave_the_order(kind: str) -> None:
    assert fused(kind, "z-score", 60.0, [[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0], [(1.0, 0.0)] * 2) == [0.0, 0.0]


@pytest.mark.parametrize(("kind", "how"), [("sum", "z-score"), ("rrf", "softmax")])
def test_unknown_names_are_refused(kind: str, how: str) -> None:
    with pytest.raises(ValueError, match=r"sum|softmax"):
        kernels.Fusion(kind, how, 60.0, [1.0], [])
