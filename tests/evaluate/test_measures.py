"""Measures by ir_measures against values computed by hand and against the package's own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascaderank.evaluate import ndcg, recall, reciprocal_rank

pytest.importorskip("ir_measures", reason="needs ir-measures: pip install 'cascaderank[evaluate]'")

from cascaderank.evaluate.measures import MEASURES, measure

IDS = [f"d{number}" for number in range(12)]
judgements = st.dictionaries(st.sampled_from(IDS), st.integers(-1, 4), min_size=1, max_size=len(IDS))
rankings = st.permutations(IDS).flatmap(lambda ids: st.integers(0, len(ids)).map(lambda size: ids[:size]))


def test_by_hand() -> None:
    """Ranked b, c, a, x of a 3, b 2, c 0, d 1: relevant at ranks 1 and 3, d is not found."""
    found = measure({"q": {"a": 3, "b": 2, "c": 0, "d": 1}}, {"q": ["b", "c", "a", "x"]})
    assert found["nDCG@10"] == [pytest.approx(6.5 / (7 + 3 / math.log2(3) + 0.5))]
    assert found["AP"] == [pytest.approx((1 + 2 / 3) / 3)]
    assert found["RR@10"] == [1.0]
    assert found["R@10"] == [pytest.approx(2 / 3)]
    assert [found[f"Success@{k}"] for k in (1, 5, 10)] == [[1.0], [1.0], [1.0]]


def test_the_lowest_relevant_grade_is_a_setting() -> None:
    found = measure({"q": {"a": 3, "b": 1}}, {"q": ["b", "x", "a"]}, relevant_from=2)
    assert found["RR@10"] == [pytest.approx(1 / 3)]
    assert found["R@10"] == [1.0]
    assert found["Success@1"] == [0.0]


def test_an_empty_ranking_has_nothing_and_keeps_its_place() -> None:
    found = measure({"q": {"a": 1}, "r": {"a": 1}}, {"q": [], "r": ["a"]})
    assert all(found[name] == [0.0, 1.0] for name in MEASURES)


def test_names_do_not_break_ties() -> None:
    """Evaluation tools order equal scores by name; ranks leave them nothing to order."""
    for order in (["a", "b"], ["b", "a"]):
        assert measure({"q": {"b": 1}}, {"q": order})["RR@10"] == [1 / (order.index("b") + 1)]


@settings(max_examples=40)
@given(st.lists(st.tuples(judgements, rankings), min_size=1, max_size=4))
def test_the_library_and_the_package_agree(queries: list[tuple[dict[str, int], list[str]]]) -> None:
    qrels = {str(number): grades for number, (grades, _) in enumerate(queries)}
    found = measure(qrels, {str(number): order for number, (_, order) in enumerate(queries)})
    for place, (grades, order) in enumerate(queries):
        assert found["nDCG@10"][place] == pytest.approx(ndcg(grades, order), abs=1e-6)
        assert found["RR@10"][place] == pytest.approx(reciprocal_rank(grades, order, 10), abs=1e-6)
        for k in (10, 20):
            assert found[f"R@{k}"][place] == pytest.approx(recall(grades, order, k), abs=1e-6)
