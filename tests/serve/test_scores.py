"""The one number per hit: falling, never moving what the deepest stage said, whatever stages did."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cascaderank.results import Ranking
from cascaderank.serve.scores import deepest_logits, relevance

VALUES = st.floats(-1e6, 1e6, allow_nan=False, width=32)


def ranking(groups: list[tuple[int, list[float]]]) -> Ranking:
    """Groups by the stage they reached, deepest first, each in falling order."""
    reached = np.array([stage for stage, values in groups for _ in values], np.int64)
    values = np.array([value for _, values in groups for value in values], np.float64)
    count = len(values)
    logits = np.full((count, 3), np.nan, np.float32)
    for row, stage in enumerate(reached.tolist()):
        logits[row, : stage + 1] = values[row]
    return Ranking(np.arange(count), (), 0, ("a", "b", "c"), reached, values, logits.copy(), logits=logits)


@given(st.lists(st.lists(VALUES, min_size=1, max_size=6), min_size=1, max_size=3), st.booleans())
def test_scores_fall_and_the_deepest_stage_keeps_its_own(groups: list[list[float]], unknown: bool) -> None:
    parts = [(2 - number, sorted(values, reverse=True)) for number, values in enumerate(groups)]
    if unknown:
        parts.append((-1, [float("nan")] * 2))
    found = relevance(ranking(parts))
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    assert np.array(found[: len(parts[0][1])], np.float32).tolist() == np.array(parts[0][1], np.float32).tolist()
    start = 0
    for (_, before), (_, after) in pairwise(parts):
        start += len(before)
        assert found[start] < found[start - 1]
        if not unknown or after is not parts[-1][1]:
            assert found[start] - found[start + len(after) - 1] <= after[0] - after[-1] + 1e-3


def test_groups_that_lie_below_already_stay() -> None:
    assert relevance(ranking([(2, [5.0, 4.0]), (1, [3.0, 1.0])])) == [5.0, 4.0, 3.0, 1.0]


def test_nothing_known_of_anybody() -> None:
    found = relevance(ranking([(-1, [float("nan")] * 3)]))
    assert (np.diff(found) < 0).all()


def test_raw_scores_are_the_last_stages_logits() -> None:
    found = deepest_logits(ranking([(2, [5.0]), (0, [9.0]), (-1, [float("nan")])]))
    assert found[:2] == [5.0, 9.0]
    assert found[2] < 5.0
