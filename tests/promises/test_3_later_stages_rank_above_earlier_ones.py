"""Whoever is scored by a later stage ranks above whoever was not; fusion orders those that reached the same stage; the
result has every candidate asked for, with the stage it reached and its score at every stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascaderank import Cascade, Ranking, Stage
from tiny import WORDS

KINDS = ["bi", "late", "ce", "ce2"]
text = st.lists(st.sampled_from(WORDS[:7]), max_size=9).map(" ".join)


@pytest.fixture(scope="module", params=["last", "rrf", "convex"])
def cascades(request: pytest.FixtureRequest, models: Path) -> Iterator[list[Cascade]]:
    settings_ = [
        [Stage(models / "bi", keep=8), Stage(models / "late", keep=5), Stage(models / "ce", keep=2)],
        [Stage(models / "ce", keep=6, min_score=1.0), Stage(models / "bi", keep=6, margin=0.2)],
        [Stage(models / "ce2", keep=7, candidates_over=4), Stage(models / "ce", keep=3, candidates_over=2)],
    ]
    made = [Cascade(stages, fusion=request.param) for stages in settings_]
    yield made
    for cascade in made:
        cascade.close()


def check(ranking: Ranking, wanted: int) -> None:
    names = list(ranking.stages)
    places = [-1 if hit.stage is None else names.index(hit.stage) for hit in ranking]
    assert places == sorted(places, reverse=True)
    assert len({hit.index for hit in ranking}) == len(ranking) == wanted
    ran = {trace.name for trace in ranking.trace.stages if trace.scored}
    for hit, reached in zip(ranking, places, strict=True):
        assert [score is not None for score in hit.scores] == [
            number <= reached and name in ran for number, name in enumerate(names)
        ]
    kept = [(place, hit.score) for place, hit in zip(places, ranking, strict=True)][: ranking.kept]
    values = [score for place, score in kept if place == max(places, default=-1) and score is not None]
    assert values == sorted(values, reverse=True)


@settings(max_examples=60)
@given(st.data(), st.lists(text, max_size=14), text, st.integers(1, 16))
def test_any_request(cascades: list[Cascade], data: st.DataObject, texts: list[str], query: str, top_n: int) -> None:
    first = data.draw(
        st.one_of(st.none(), st.lists(st.floats(-5, 5, width=32), min_size=len(texts), max_size=len(texts)))
    )
    for cascade in cascades:
        ranking = cascade.rank(query or "red", texts, scores=first)
        check(ranking, len(texts))
        part = cascade.rank(query or "red", texts, scores=first, top_n=top_n)
        assert part.order.tolist() == ranking.order.tolist()[:top_n]
        assert list(part) == list(ranking)[:top_n]


def test_a_low_score_of_a_later_stage_is_above_a_high_one_of_an_earlier(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=2), Stage(models / "bi", keep=1)]) as cascade:
        ranking = cascade.rank("red", ["red red red red", "red red red", "red red"])
    assert [hit.stage for hit in ranking] == ["bi", "bi", "ce"]
    assert ranking[2].score == 2.0
    assert ranking[0].score < 1.01  # a cosine: another scale, still above
