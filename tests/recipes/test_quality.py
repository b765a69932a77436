"""The quality table's pure functions against values computed by hand, and its scores against the engine's own order."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cascaderank import Cascade, Document
from cascaderank.config import CascadeConfig, Stage
from tiny import make_cross_encoder, make_encoder


def test_average_precision_by_hand(recipes: SimpleNamespace) -> None:
    # Found at ranks 2 and 3, one more never: (1/2 + 2/3) / 3.
    grades = {"a": 1, "b": 0, "c": 2, "d": 1}
    assert recipes.measures.average_precision(grades, ["b", "a", "c"]) == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert recipes.measures.average_precision(grades, []) == 0.0
    assert recipes.measures.average_precision({"a": 0}, ["a"]) == 0.0


def test_reciprocal_ranks_by_hand(recipes: SimpleNamespace) -> None:
    found = recipes.measures.reciprocal_ranks(np.array([0.5, 2.0, 0.5]), k=60)
    np.testing.assert_allclose(found, [1 / 62, 1 / 61, 1 / 63])  # equal scores in the order given


def test_interval_over_sets_weighs_sets_alike(recipes: SimpleNamespace) -> None:
    sets = [np.zeros(10), np.ones(1000)]
    assert recipes.bootstrap.interval_over_sets(sets) == (0.5, 0.5)
    systems = [np.tile([2.0, 4.0], (10, 1)), np.tile([4.0, 4.0], (5, 1))]
    ratio = recipes.bootstrap.interval_over_sets(systems, lambda means: means[:, 0] / means[:, 1])
    assert ratio == (0.75, 0.75)


def three_stages(**settings: float) -> CascadeConfig:
    stages = (
        Stage("minilm-bi", keep=3, weight=1.0),
        Stage("minilm-ce-small", keep=2, weight=1.0),
        Stage("minilm-ce-large", keep=1, weight=1.0),
    )
    return CascadeConfig(stages, fusion="convex", first_weight=0.0, **settings)


PARTS = {
    "first": np.array([4.0, 3.0, 2.0, 1.0]),
    "minilm-bi": np.array([0.0, 1.0, 2.0, 3.0]),
    "minilm-ce-small": np.array([9.0, 4.0, 0.0, -1.0]),
    "minilm-ce-large": np.array([9.0, 0.0, 5.0, 0.0]),
}


def test_cascade_by_hand(recipes: SimpleNamespace) -> None:
    # bi keeps 3, 2, 1 and leaves 0 below them, whatever the others think of it. Among those three z(bi) is 1.22, 0,
    # -1.22 and z(small) of -1, 0, 4 is -0.93, -0.46, 1.39: sums 0.30 (3), -0.46 (2), 0.16 (1), so 2 is cut. Among 3
    # and 1 every z-score is 1 or -1: bi 1, -1; small -1, 1; large ties and adds nothing. They stay as they were: 3, 1.
    assert recipes.systems.cascade_order(three_stages(), PARTS).tolist() == [3, 1, 2, 0]


def test_large_on_all_by_hand(recipes: SimpleNamespace) -> None:
    # z(bi) of 0, 1, 2, 3: -1.34, -0.45, 0.45, 1.34; z(large) of 9, 0, 5, 0: 1.47, -0.94, 0.40, -0.94.
    # Sums: 0.13, -1.39, 0.85, 0.40.
    config = recipes.systems.without(three_stages(), "minilm-ce-small")
    assert recipes.systems.cascade_order(config, PARTS).tolist() == [2, 3, 0, 1]


def test_systems_by_hand(recipes: SimpleNamespace) -> None:
    found = recipes.systems.orders(three_stages(), PARTS)
    assert list(found) == ["BM25", "bi", "BM25 + bi", "RRF", "small", "large", "cascade", "large on all"]
    assert found["bi"].tolist() == [3, 2, 1, 0]
    assert found["BM25 + bi"].tolist() == [0, 1, 2, 3]  # opposite scores cancel, so BM25's order stays
    assert found["RRF"].tolist() == [0, 3, 1, 2]  # 1/61 + 1/64 beats 1/62 + 1/63
    assert found["large"].tolist() == [0, 2, 1, 3]
    cheap = {part: PARTS[part] for part in ("first", "minilm-bi")}
    assert list(recipes.systems.orders(three_stages(), cheap)) == ["BM25", "bi", "BM25 + bi", "RRF"]


def test_what_scores_cannot_tell_is_refused(recipes: SimpleNamespace) -> None:
    config = CascadeConfig((Stage("minilm-bi", keep=1, margin=1.0),), fusion="convex")
    with pytest.raises(ValueError, match="margin"):
        recipes.systems.cascade_order(config, PARTS)


TEXTS = {"d1": "red fox", "d2": "red red hen", "d3": "blue", "d4": "the fox and the hen", "d5": "hen"}
QUERIES = [("red fox", ["d1", "d2", "d3", "d4", "d5"]), ("hen", ["d5", "d4", "d2"])]


def test_cached_scores_follow_the_engine(recipes: SimpleNamespace, tmp_path: Path) -> None:
    make_encoder(tmp_path / "bi")
    make_cross_encoder(tmp_path / "ce")
    with recipes.scoring.bench(tmp_path / "cache", threads=2) as where:
        scored = {m: recipes.scoring.score_lists(tmp_path / m, "set", TEXTS, QUERIES, where) for m in ("bi", "ce")}
    config = CascadeConfig((Stage(tmp_path / "bi", keep=3), Stage(tmp_path / "ce", keep=2)), fusion="convex")
    with Cascade(config) as cascade:
        for number, (query, ids) in enumerate(QUERIES):
            first = np.arange(len(ids), 0, -1, dtype=np.float64)
            parts = {"first": first, **{model: scores[number] for model, scores in scored.items()}}
            documents = [Document(i, TEXTS[i], float(s)) for i, s in zip(ids, first, strict=True)]
            expected = [hit.index for hit in cascade.rank(query, documents)]
            assert recipes.systems.cascade_order(config, parts).tolist() == expected


def test_an_interrupted_cache_goes_on(
    recipes: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cross_encoder(tmp_path / "ce")
    cache = tmp_path / "cache"

    def score(queries: list[tuple[str, list[str]]]) -> list[list[float]]:
        with recipes.scoring.bench(cache, threads=1) as where:
            return [s.tolist() for s in recipes.scoring.score_lists(tmp_path / "ce", "set", TEXTS, queries, where)]

    whole = score(QUERIES)
    (kept,) = cache.glob("*.jsonl")
    lines = [line for line in kept.read_text().splitlines() if line]
    assert [json.loads(line)[1] for line in lines] == whole
    kept.write_text(lines[0] + "\n" + lines[1][:9])  # stopped while it wrote the second query
    assert score(QUERIES) == whole
    monkeypatch.setattr(recipes.scoring, "Cascade", None)  # from here on nothing may be computed
    assert score(QUERIES[::-1]) == whole[::-1]
    monkeypatch.undo()
    assert score([("red fox", ["d1", "d2"])]) == [whole[0][:2]]  # other candidates are other scores


def test_vectors_are_kept_and_other_texts_are_not_taken_for_them(recipes: SimpleNamespace, tmp_path: Path) -> None:
    make_encoder(tmp_path / "bi")
    changed = {**TEXTS, "d1": "blue hen"}
    with recipes.scoring.bench(tmp_path / "cache", threads=1) as where:
        recipes.scoring.score_lists(tmp_path / "bi", "set", TEXTS, QUERIES[1:], where)
        once = recipes.scoring.score_lists(tmp_path / "bi", "set", TEXTS, QUERIES, where)
        again = recipes.scoring.score_lists(tmp_path / "bi", "set", changed, QUERIES, where)
    assert again[0][0] != once[0][0]
    np.testing.assert_array_equal(again[0][1:], once[0][1:])


def results_of(recipes: SimpleNamespace) -> dict[object, object]:
    """Two of the bar's sets; the cascade gains 0.1 on the first and loses 0.2 on the second."""
    sets = {}
    for task, gain in zip(recipes.sets.BAR[:2], (0.1, -0.2), strict=True):
        base = np.full(4, 0.5)
        names = ("BM25", "bi", "BM25 + bi", "RRF", "small", "large", "cascade", "large on all")
        narrow = {n: {"ndcg10": base + gain * (n == "cascade"), "recall20": base, "recall100": base} for n in names}
        sets[task] = recipes.measured.SetResult(task, ["q1", "q2", "q3", "q4"], narrow, narrow, narrow, narrow)
    return sets


def test_differences_and_flags(recipes: SimpleNamespace) -> None:
    results = results_of(recipes)
    row = recipes.report.differences(results)[0]
    assert (row["system"], row["other"], row["queries"]) == ("cascade", "BM25 + bi", 8)
    assert row["mean"] == row["mean_over_sets"] == pytest.approx(-0.05)
    assert row["interval_over_sets"] == pytest.approx((-0.05, -0.05))
    assert (row["worst_set"], row["worst"]) == ("cranfield test", pytest.approx(-0.2))
    (worse,) = recipes.measured.worse_than_followed(results)
    assert (worse["system"], worse["other"], worse["set"]) == ("cascade", "BM25 + bi", "cranfield test")
    kept = {(row["system"], row["other"]): row["ratio"] for row in recipes.report.ratios(results)}
    assert kept["cascade", "large on all"] == pytest.approx(0.9)
    assert all(row["loss"] == 0.0 for row in recipes.measured.int8_loss(list(results.values())))


def test_report_goes_between_the_markers(recipes: SimpleNamespace, tmp_path: Path) -> None:
    results, tables = results_of(recipes), recipes.report
    text = tables.report(results, depth=100, wide=1000)
    assert "| cascade | 0.600 [0.600, 0.600] | 0.300 [0.300, 0.300] | **0.450** [0.450, 0.450] |" in text
    assert "- cascade below BM25 + bi: cranfield test -0.200 [-0.200, -0.200]." in text
    json.dumps(tables.summary(results, {}))  # plain data throughout
    page = tmp_path / "README.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    tables.write_between(page, text)
    assert page.read_text() == f"before\n{tables.BEGIN}\n{text}\n{tables.END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="lacks"):
        tables.write_between(page, text)
    assert page.read_text() == "no markers"
