"""Who is scored when there is not time for all: cheap stages, then the last one first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascaderank.allowance import allot
from cascaderank.cost import Cost


def flat(seconds: float) -> Cost:
    """The same for each candidate, however many there are."""
    cost = Cost()
    for bits in range(1, 12):
        cost.observe(1 << (bits - 1), seconds * (1 << (bits - 1)))
    return cost


SEED = [1000, 100, 20]
COSTS = [flat(1e-6), flat(1e-3), flat(4e-3)]  # 1 ms, 100 ms and 80 ms for all


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (1.0, [1000, 100, 20]),
        (0.182, [1000, 100, 20]),
        (0.1515, [1000, 70, 20]),
        (0.1065, [1000, 25, 20]),  # the middle stage still chooses among more than the last one takes
        (0.095, [1000, 0, 20]),  # it would choose nothing any more: the last one gets its time
        (0.0411, [1000, 0, 10]),
        (0.0095, [1000, 0, 2]),
        (0.0015, [1000, 0, 0]),  # not even two: the order of the stage before stands
        (-1.0, [0, 0, 0]),
    ],
)
def test_the_seed_shape(available: float, expected: list[int]) -> None:
    assert allot(SEED, COSTS, available) == expected


def test_with_time_for_all_nobody_is_left_out() -> None:
    assert allot([20, 20], [flat(1.0), flat(1.0)], 41.0) == [20, 20]
    assert allot([20, 20], [flat(1.0), flat(1.0)], 39.0) == [0, 20]
    assert allot([1, 1], [flat(1.0), flat(1.0)], 2.5) == [1, 1]


def test_unknown_costs_leave_everything_to_the_clock() -> None:
    assert allot(SEED, [Cost(), Cost(), Cost()], 0.001) == SEED


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=5),
    st.lists(st.floats(1e-6, 1e-1), min_size=5, max_size=5),
    st.floats(-0.1, 10.0),
)
def test_within_the_time_and_never_more_than_there_are(
    counts: list[int], seconds: list[float], available: float
) -> None:
    counts = sorted(counts, reverse=True)
    costs = [flat(each) for each in seconds[: len(counts)]]
    found = allot(counts, costs, available)
    assert all(0 <= mine <= wanted for mine, wanted in zip(found, counts, strict=True))
    spent = sum(cost.estimate(mine) for cost, mine in zip(costs, found, strict=True) if mine)
    assert spent <= max(available, 0.0) * (1 + 1e-9) + 1e-12
    # Equal counts: a stage that chooses nothing is run all the same where there is time for it.
    if sum(cost.estimate(wanted) for cost, wanted in zip(costs, counts, strict=True)) <= available:
        assert found == counts


@given(st.floats(0.001, 0.2), st.floats(1.0, 2.0))
def test_more_time_never_takes_from_the_last_stage(available: float, more: float) -> None:
    assert allot(SEED, COSTS, available * more)[-1] >= allot(SEED, COSTS, available)[-1]
