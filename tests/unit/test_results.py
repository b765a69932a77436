"""Rankings as sequences of hits, and traces as tables and dicts."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from cascaderank import Hit, Ranking, StageTrace, Trace

NAN = float("nan")
TRACE = Trace(
    stages=(
        StageTrace("bi", "bi_encoder", "cpu", 4, 4, 2, tokens=10, run_ms=2.0, model_ms=1.5, total_ms=3.0, note="why"),
        StageTrace("large", "cross_encoder", "cuda", 2, 1, 1, padding=0.25, run_ms=6.0, model_ms=6.0, total_ms=7.0),
    ),
    total_ms=12.0,
    read_ms=0.5,
    finish_ms=0.25,
)
RANKING = Ranking(
    order=np.array([2, 0, 3, 1]),
    ids=("a", "b", "c", "d"),
    kept=1,
    stages=("bi", "large"),
    reached=np.array([1, 0, 0, -1]),
    values=np.array([9.5, 0.5, 0.0, NAN]),
    scores=np.array([[0.25, 9.5], [0.5, NAN], [0.0, NAN], [NAN, NAN]], np.float32),
    reasons=("deadline: stage 'large' scored 1 of 2 candidates",),
    trace=TRACE,
)
HITS = [
    Hit(2, "c", 1, 9.5, "large", (0.25, 9.5)),
    Hit(0, "a", 2, 0.5, "bi", (0.5, None)),
    Hit(3, "d", 3, 0.0, "bi", (0.0, None)),
    Hit(1, "b", 4, None, None, (None, None)),
]


def test_a_ranking_is_a_sequence_of_hits() -> None:
    assert list(RANKING) == HITS
    assert len(RANKING) == 4
    assert [RANKING[place] for place in range(4)] == HITS
    assert [RANKING[place] for place in range(-4, 0)] == HITS
    assert RANKING[1:3] == HITS[1:3]
    assert RANKING[::-1] == HITS[::-1]
    assert RANKING[5:] == []
    assert list(reversed(RANKING)) == HITS[::-1]
    assert HITS[1] in RANKING
    assert RANKING.index(HITS[2]) == 2


@pytest.mark.parametrize("place", [4, -5, 100])
def test_a_place_that_is_not_there(place: int) -> None:
    with pytest.raises(IndexError, match="of 4 hits"):
        RANKING[place]


def test_a_score_of_zero_is_a_score() -> None:
    """None means not scored; 0.0 does not."""
    assert RANKING[2].score == 0.0
    assert RANKING[3].score is None


def test_hits_hold_plain_numbers() -> None:
    hit = RANKING[0]
    assert [type(value) for value in (hit.index, hit.id, hit.rank, hit.score, *hit.scores)] == [
        int, str, int, float, float, float,
    ]  # fmt: skip
    json.dumps(dataclasses.asdict(hit))


def test_without_ids_a_hit_is_named_by_its_index() -> None:
    assert [hit.id for hit in dataclasses.replace(RANKING, ids=())] == ["2", "0", "3", "1"]


def test_reasons_make_it_degraded() -> None:
    assert RANKING.degraded
    assert not dataclasses.replace(RANKING, reasons=()).degraded


def test_a_run_sorts_back_to_the_ranking() -> None:
    run = RANKING.run()
    assert sorted(run, key=lambda identifier: -run[identifier]) == ["c", "a", "d", "b"]
    assert len(set(run.values())) == 4


def test_results_are_frozen() -> None:
    for item, name in ((RANKING, "kept"), (HITS[0], "score"), (TRACE, "total_ms"), (TRACE.stages[0], "tokens")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(item, name, 0)


def test_the_time_outside_the_model() -> None:
    assert TRACE.model_ms == 7.5
    assert TRACE.outside_ms == 4.5


def test_a_trace_as_a_dict_is_json() -> None:
    found = json.loads(json.dumps(TRACE.to_dict()))
    assert found["total_ms"] == 12.0
    assert found["model_ms"] == 7.5
    assert found["outside_ms"] == 4.5
    assert [stage["name"] for stage in found["stages"]] == ["bi", "large"]
    assert found["stages"][1]["padding"] == 0.25
    assert set(found["stages"][0]) == {field.name for field in dataclasses.fields(StageTrace)}


def test_a_trace_as_a_table() -> None:
    lines = TRACE.table().splitlines()
    assert lines[0].split()[:4] == ["stage", "on", "in", "out"]
    assert lines[1].split()[:4] == ["bi", "cpu", "4", "2"]
    assert lines[2].split()[:4] == ["large", "cuda", "2", "1"]
    assert "25%" in lines[2]
    assert len({len(line) for line in lines[:3]}) == 1  # aligned
    assert "12.00 ms" in lines[3]
    assert "37.5%" in lines[3]
    assert lines[4] == "bi: why"


def test_an_empty_trace_has_a_table() -> None:
    assert "total 0.00 ms" in Trace((), 0.0, 0.0, 0.0).table()
