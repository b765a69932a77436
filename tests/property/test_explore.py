"""What exploration says of a choice of cut-offs equals running the engine's pool on the same scores, whatever was
explored before it; and the dynamic cut-off equals its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascaderank import kernels
from cascaderank.errors import ConfigError
from cascaderank.evaluate import ndcg, recall

score = st.one_of(st.sampled_from([-3.0, -0.0, 0.0, 1.0, 2.0]), st.floats(-20, 20, width=32))
limit = st.one_of(st.none(), st.none(), st.sampled_from([0.0, 1.0, 4.0]))
mass = st.one_of(st.none(), st.none(), st.sampled_from([0.25, 0.5, 0.9375, 1.0]))
TEMPERATURE = 2.0


def nan(values: list[list[float | None]]) -> np.ndarray:
    return np.array([[math.nan if value is None else value for value in row] for row in values], np.float32)


def by_pool(
    first: list[float] | None,
    logits: list[list[float]],
    fusion: kernels.Fusion,
    keeps: list[int],
    limits: list[tuple[float | None, float | None, float | None]],
) -> tuple[list[int], list[int], list[int]]:
    """Order, who is left, and how many each stage scored."""
    size, pool = len(logits[0]), kernels.Pool()
    pool.reset(size, None if first is None else np.array(first, np.float32), len(logits), fusion)
    pairs = [0] * len(logits)
    for stage, keep in enumerate(keeps):
        alive = pool.alive()
        if not keep or not len(alive):
            continue
        pairs[stage] = len(alive)
        outputs = np.array(logits[stage], np.float32)[alive]
        pool.collect(stage, np.arange(len(alive)), outputs, 1)
        low, margin, share = limits[stage]
        pool.prune(stage, keep, low, margin, None if share is None else (share, TEMPERATURE))
    return pool.finish(size)[0].tolist(), pool.alive().tolist(), pairs


@settings(max_examples=150)
@given(
    st.data(),
    st.integers(1, 12),
    st.integers(1, 3),
    st.sampled_from(["last", "rrf", "convex", "weighted"]),
    st.booleans(),
)
def test_an_explored_choice_equals_the_pool(
    data: st.DataObject, size: int, stages: int, kind: str, has_first: bool
) -> None:
    queries = data.draw(st.integers(1, 2))
    column = st.lists(score, min_size=size, max_size=size)
    first = [data.draw(column) for _ in range(queries)]
    logits = [[data.draw(column) for _ in range(stages)] for _ in range(queries)]
    least = data.draw(st.integers(1, 3))
    grades = [data.draw(st.lists(st.sampled_from([0, 0, 1, 3]), min_size=size, max_size=size)) for _ in range(queries)]
    lines = [(1.0, 0.0), *((0.5 + stage, 0.25) for stage in range(stages))]
    maps = [kernels.Calibration(slope, slope, offset, [], []) for slope, offset in lines]
    fusion = kernels.Fusion(kind, "z-score", 60.0, [0.5, *(1.0 + stage for stage in range(stages))], maps)
    rows = data.draw(st.lists(st.lists(st.integers(0, size), min_size=stages, max_size=stages), min_size=1, max_size=8))
    keeps = sorted(rows) if data.draw(st.booleans()) else rows
    limits = [[(data.draw(limit), data.draw(limit), data.draw(mass)) for _ in row] for row in keeps]
    cost = np.arange(1, stages * queries * size + 1, dtype=np.float32).reshape(stages, -1)
    fixed = np.array([100.0 * (stage + 1) for stage in range(stages)], np.float32)
    judged = [{str(place): grade for place, grade in enumerate(row)} for row in grades]
    gains = np.array([2.0**grade - 1 for row in grades for grade in row], np.float32)
    ideal = [
        sum((2.0**g - 1) / math.log2(place + 2) for place, g in enumerate(sorted(row, reverse=True)[:10]))
        for row in grades
    ]
    table = kernels.ScoreTable(
        np.arange(0, queries * size + 1, size),
        np.array(first, np.float32).reshape(-1) if has_first else None,
        np.array([[value for query in logits for value in query[stage]] for stage in range(stages)], np.float32),
        gains,
        np.array(ideal, np.float32),
        cost,
        fixed,
        2.0**least - 1,
    )
    choices = kernels.Choices(
        np.array(keeps, np.int64),
        *(nan([[at[part] for at in row] for row in limits]) for part in range(3)),
        np.full(stages, TEMPERATURE, np.float32),
    )
    found = kernels.explore(table, fusion, choices)
    for number, chosen in enumerate(keeps):
        for query in range(queries):
            order, alive, pairs = by_pool(
                first[query] if has_first else None, logits[query], fusion, chosen, limits[number]
            )
            ids = [str(place) for place in order]
            assert found.ndcg[number, query] == pytest.approx(ndcg(judged[query], ids), abs=1e-6)
            relevant = {name: int(grade >= least) for name, grade in judged[query].items()}
            kept = recall(relevant, ids, len(alive)) if alive else 0.0
            expected = kept if any(relevant.values()) else math.nan
            assert found.recall[number, query] == pytest.approx(expected, nan_ok=True)
            assert found.pairs[number, query].tolist() == pairs
            if not any(low or margin or share for low, margin, share in limits[number]) and len(set(pairs)) == 1:
                used = [stage for stage in range(stages) if pairs[stage]]
                own = slice(query * size, (query + 1) * size)
                assert found.ms[number, query] == pytest.approx(sum(fixed[s] + cost[s, own].sum() for s in used))


@given(
    st.lists(score, min_size=1, max_size=12), st.integers(1, 12), st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    st.sampled_from([0.25, 1.0, 8.0]),
)  # fmt: skip
def test_the_dynamic_cut_off_is_the_smallest_that_holds_the_mass(
    logits: list[float], keep: int, mass: float, temperature: float
) -> None:
    pool = kernels.Pool()
    pool.reset(len(logits), None, 1, kernels.Fusion("last", "z-score", 60.0, [], []))
    pool.collect(0, np.arange(len(logits)), np.array(logits, np.float32), 1)
    _, alive, below = pool.prune(0, keep, None, None, (mass, temperature))
    weights = sorted((math.exp((value - max(logits)) / temperature) for value in logits), reverse=True)
    assert below == 0
    assert 1 <= alive <= min(keep, len(logits))
    assert sum(weights[: alive - 1]) < mass * sum(weights) * (1 + 1e-9)
    if alive < min(keep, len(logits)):
        assert sum(weights[:alive]) >= mass * sum(weights) * (1 - 1e-9)


@pytest.mark.parametrize(("dynamic", "said"), [((0.0, 1.0), "mass"), ((1.5, 1.0), "mass"), ((0.5, 0.0), "temperature")])
def test_a_dynamic_cut_off_that_means_nothing_is_refused(dynamic: tuple[float, float], said: str) -> None:
    from cascaderank.config import Dynamic

    pool = kernels.Pool()
    pool.reset(1, None, 1, kernels.Fusion("last", "z-score", 60.0, [], []))
    pool.collect(0, np.zeros(1, np.int64), np.zeros(1, np.float32), 1)
    with pytest.raises(ValueError, match=said):
        pool.prune(0, 1, None, None, dynamic)
    with pytest.raises(ConfigError, match=said):
        Dynamic(*dynamic)


def test_sizes_that_do_not_fit_are_refused() -> None:
    fusion = kernels.Fusion("last", "z-score", 60.0, [], [])
    flat = np.ones(3, np.float32)
    table = kernels.ScoreTable(
        np.array([0, 2], np.int64), None, np.ones((1, 3), np.float32), flat, flat[:1], np.ones((1, 3), np.float32),
        flat[:1],
    )  # fmt: skip
    with pytest.raises(ValueError, match="cu_candidates ends at 2"):
        kernels.explore(table, fusion, kernels.Choices.fixed(np.ones((1, 1), np.int64)))
