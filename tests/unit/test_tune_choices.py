"""The statistics of tuning against slow, obvious versions of themselves."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascaderank import InputError, kernels
from cascaderank.calibration import Calibration
from cascaderank.config import CascadeConfig, Stage
from cascaderank.documents import Document
from cascaderank.evaluate import ndcg
from cascaderank.evaluate.report.svg import Plot, log_ticks, ticks
from cascaderank.evaluate.requests import Request
from cascaderank.model import load_spec
from cascaderank.tune.budget import reference_place
from cascaderank.tune.certified import certified_choice
from cascaderank.tune.cost import StageCost, fit_cost
from cascaderank.tune.explore import (
    Explorer,
    all_choices,
    count_choices,
    cut_offs,
    make_table,
    relevant_counts,
    select,
)
from cascaderank.tune.figures import figures
from cascaderank.tune.folds import cross_validate
from cascaderank.tune.lost import find_lost
from cascaderank.tune.pareto import answering, as_good, beside_chosen, front, recommend, verdicts
from cascaderank.tune.plateau import plateau_curves
from cascaderank.tune.policies import learn_temperatures, tune_policies
from cascaderank.tune.population import calibration_warnings, describe_population
from cascaderank.tune.run import halves
from cascaderank.tune.scores import Scores
from cascaderank.tune.settings import TuneSettings


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_all_choices_are_all_of_them_once_and_in_order(stages: int) -> None:
    grid = [2, 5, 9]

    def fine(row: tuple[int, ...]) -> bool:
        used = [keep for keep in row if keep]
        return all(before >= after for before, after in itertools.pairwise(used))

    expected = sorted(row for row in itertools.product([0, *grid], repeat=stages) if fine(row))
    assert [tuple(row) for row in all_choices(grid, stages).tolist()] == expected
    assert count_choices(len(grid), stages) == len(expected)


def test_cut_offs_hold_the_files_own_and_no_cut_and_stay_few() -> None:
    assert cut_offs(12, 2, [6, 100]) == [1, 2, 3, 5, 6, 7, 10, 12]
    many = cut_offs(1000, 5, [130, 20, 5])
    assert {5, 20, 130, 1000} <= set(many)
    assert count_choices(len(many), 5) <= 6000


def test_answering_picks_those_that_let_as_many_through() -> None:
    keeps = np.array([[0, 0], [9, 0], [5, 0], [9, 5], [9, 2], [2, 2], [0, 5], [2, 1]])
    assert answering(keeps, 5).tolist() == [False, False, True, True, False, False, True, False]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    quality, ms = np.array([p[0] for p in points], float), np.array([p[1] for p in points], float)
    found = front(quality, ms)
    for place in range(len(points)):
        beaten = (
            (quality >= quality[place]) & (ms <= ms[place]) & ((quality > quality[place]) | (ms < ms[place]))
        ).any()
        same = [other for other in found if (quality[other], ms[other]) == (quality[place], ms[place])]
        assert len(same) == (0 if beaten else 1)
    assert (np.diff(ms[found]) > 0).all()


def test_recommend_takes_the_cheapest_that_does_as_well() -> None:
    generator = np.random.default_rng(0)
    base = np.full(200, 0.6, np.float32)
    noise = generator.normal(0, 0.05, 200).astype(np.float32)
    ndcg = np.stack([base, base - 0.002 + noise - noise.mean(), base - 0.2, base - 0.001 + noise - noise.mean()])
    keeps = np.array([[50, 20], [20, 10], [5, 5], [0, 20]])
    everything = np.ones(4, bool)
    ms = np.array([90.0, 40.0, 10.0, 43.0])
    chosen, best, note = recommend(ndcg, ms, keeps, everything, 100.0)
    assert (best, note) == (0, "")
    assert chosen == 3  # the second is 7 % cheaper, but needs a stage more
    assert recommend(ndcg, np.array([90.0, 40.0, 10.0, 60.0]), keeps, everything, 100.0)[0] == 1
    chosen, _, note = recommend(ndcg, ms, keeps, everything, 5.0)
    assert chosen == 2
    assert "no choice meets 5 ms" in note


def test_a_share_is_of_what_is_as_good_and_slow() -> None:
    """The cheap one is best by a hair: its time is no measure of the work that is to be saved."""
    generator = np.random.default_rng(2)
    base = generator.uniform(0.3, 0.7, 60).astype(np.float32)
    noise = generator.normal(0, 0.05, 60).astype(np.float32)
    ndcg = np.stack([base + 0.001, base + noise - noise.mean(), base - 0.1])
    assert reference_place(ndcg, np.array([2.0, 700.0, 900.0])) == 1
    assert reference_place(ndcg[[0, 2]], np.array([2.0, 900.0])) == 0  # the slow one is worse, and that is proven


def test_a_stage_that_adds_nothing_does_not_pay() -> None:
    keeps = np.array([[10, 0], [0, 10], [20, 10]])
    ndcg = np.stack([np.full(50, 0.3), np.full(50, 0.6), np.full(50, 0.6)]).astype(np.float32)
    found = verdicts(["a", "b"], ndcg, np.ones(3), keeps, np.ones(3, bool), 10.0)
    assert [verdict.pays for verdict in found] == [False, True]
    assert [verdict.short for verdict in found] == ["does not pay", "pays"]
    assert "leave this stage out" in found[0].reason


def test_a_stage_of_the_recommendation_is_not_to_be_left_out() -> None:
    keeps = np.array([[0, 10], [20, 10]])
    ndcg, ms = np.full((2, 50), 0.6, np.float32), np.array([9.0, 3.0])
    verdict = verdicts(["a", "b"], ndcg, ms, keeps, np.ones(2, bool), 10.0)[0]
    assert verdict.short == "does not pay"
    saving = beside_chosen(verdict, ms, 1, used=True)
    assert (saving.pays, saving.short) == (True, "saves time")
    assert "takes 3.0 times as long" in saving.reason
    assert beside_chosen(verdict, ms, 0, used=False) == verdict


def test_what_the_budget_decided_is_no_word_on_a_stage() -> None:
    keeps = np.array([[10, 0], [0, 10], [20, 10]])
    ndcg = np.stack([np.full(50, 0.3), np.full(50, 0.6), np.full(50, 0.6)]).astype(np.float32)
    found = verdicts(["a", "b"], ndcg, np.array([5.0, 20.0, 20.0]), keeps, np.ones(3, bool), 10.0)
    assert [verdict.short for verdict in found] == ["needed", "over the budget"]
    assert [verdict.reason for verdict in found] == [
        "no choice without it is within the budget", "no choice with it is within"
    ]  # fmt: skip


def test_a_proven_loss_is_no_equal_however_small() -> None:
    assert as_good(np.full(50, 0.5, np.float32), np.full(50, 0.5, np.float32))
    assert not as_good(np.full(50, 0.5, np.float32), np.full(50, 0.499, np.float32))
    assert as_good(np.full(50, 0.5, np.float32), np.full(50, 0.9, np.float32))


def test_the_cost_model_finds_the_costs_beneath_an_outlier() -> None:
    generator = np.random.default_rng(3)
    pairs = np.repeat([2.0, 8.0, 25.0, 80.0, 200.0], 8)
    tokens = pairs * generator.uniform(20, 200, pairs.size)
    ms = 1.5 + 0.2 * pairs + 0.01 * tokens
    ms *= generator.uniform(0.98, 1.02, ms.size)
    ms[7] *= 6  # somebody else had the processor
    found = fit_cost(pairs.tolist(), tokens.tolist(), ms.tolist())
    assert found.predict(50, 5000) == pytest.approx(1.5 + 10 + 50, rel=0.05)
    assert found.error < 0.03


def test_costs_are_never_negative() -> None:
    found = fit_cost([1.0, 2.0, 4.0, 8.0], [9.0, 9.0, 9.0, 9.0], [4.0, 3.9, 3.8, 3.7])
    assert min(found.fixed, found.per_pair, found.per_token) >= 0.0


def test_halves_are_disjoint_whole_and_seeded() -> None:
    first, second = halves(11, 4)
    assert sorted([*first, *second]) == list(range(11))
    assert (len(first), len(second)) == (6, 5)
    assert halves(11, 4)[0].tolist() == first.tolist() != halves(11, 5)[0].tolist()


def explorer(queries: int = 60, size: int = 40, seed: int = 0) -> Explorer:
    """Two stages, the second better; a relevant candidate or two per query, with logits above the others'."""
    generator = np.random.default_rng(seed)
    count = queries * size
    gains = np.zeros(count, np.float32)
    for query in range(queries):
        gains[query * size + generator.choice(size, 1 + query % 2, replace=False)] = 1.0
    hard = np.repeat(generator.uniform(0.4, 2.0, queries), size)
    logits = np.stack([generator.normal(0, 1, count) + lift * hard * gains for lift in (2.0, 5.0)]).astype(np.float32)
    ideal = np.array([1.0 + (query % 2) / np.log2(3) for query in range(queries)], np.float32)
    cost = np.stack([np.full(count, 0.01), np.full(count, 1.0)]).astype(np.float32)
    table = kernels.ScoreTable(
        np.arange(0, count + 1, size), None, logits, gains, ideal, cost, np.array([0.1, 0.2], np.float32)
    )
    return Explorer(table, kernels.Fusion("last", "z-score", 60.0, [], []), 0.5)


def test_the_plateau_rule_takes_the_smallest_cut_off_that_loses_too_little() -> None:
    made, grid = explorer(), [1, 2, 5, 10, 20, 40]
    curves = plateau_curves(made, ["a", "b"], grid, np.arange(60), tolerance=0.05)
    assert (curves[0].entering, curves[1].entering) == (40, curves[0].chosen)
    for curve in curves:
        for point in curve.points:
            small_enough = point.loss_interval[1] <= 0.05
            assert small_enough or point.keep < curve.chosen
            if point.keep == curve.chosen:
                assert small_enough
        recalls = [point.recall for point in curve.points]
        assert recalls == sorted(recalls)
        assert curve.points[-1].loss == 0.0
    assert curves[0].points[-1].recall == 1.0


def with_idle(made: Explorer, queries: int) -> Explorer:
    """The same with as many more queries in front that have no relevant candidate."""
    table = made.table
    size = int(table.cu_candidates[1])
    copied = slice(0, queries * size)
    more = kernels.ScoreTable(
        np.arange(0, (table.queries + queries) * size + 1, size),
        None,
        np.concatenate([table.logits[:, copied], table.logits], axis=1),
        np.concatenate([np.zeros(queries * size, np.float32), table.gains]),
        np.concatenate([table.ideal[:queries], table.ideal]),
        np.concatenate([table.cost[:, copied], table.cost], axis=1),
        table.fixed,
    )
    return replace(made, table=more)


def test_a_plateau_is_that_of_the_queries_with_something_to_lose() -> None:
    made, grid = explorer(), [1, 2, 5, 10, 20, 40]
    alone = plateau_curves(made, ["a", "b"], grid, np.arange(60), tolerance=0.05)
    assert plateau_curves(with_idle(made, 60), ["a", "b"], grid, np.arange(120), tolerance=0.05) == alone
    found = figures(with_idle(made, 60).run(kernels.Choices.fixed(np.array([[2, 1]])), np.arange(120)))
    assert found["recall"] == figures(made.run(kernels.Choices.fixed(np.array([[2, 1]])), np.arange(60)))["recall"] < 1


@pytest.mark.parametrize("certify", ["keep", "margin"])
def test_a_certificate_is_of_the_queries_with_something_to_lose(certify: str) -> None:
    """However many others there are: they would pass for queries that lose nothing, and the rest could lose more."""
    config = CascadeConfig((Stage("a", keep=10), Stage("b", keep=4)))
    settings = TuneSettings(max_recall_loss=0.1, certify=certify)
    halves = [np.arange(0, 200, 2), np.arange(1, 200, 2)]
    made = explorer(200)
    alone, choice, _ = certified_choice(made, config, 40, *halves, settings)
    beside, same, lines = certified_choice(
        with_idle(made, 100), config, 40, *(np.concatenate([np.arange(100), 100 + half]) for half in halves), settings
    )
    assert beside["p_value"] == alone["p_value"] <= 0.05
    assert beside["held_back_loss"] == alone["held_back_loss"]
    assert (beside["queries"], beside["without_relevant"]) == (100, 100)
    assert not alone["cuts_nothing"]
    assert same.keeps.tolist() == choice.keeps.tolist()
    assert "have a relevant candidate" in " ".join(lines)


def test_relevant_is_what_has_the_grade_asked_for() -> None:
    """Two queries: the stage puts the grade 1 first, then the grade 2; the second query has nothing of grade 2."""
    requests = [
        Request(f"q{number}", "", ("a", "b", "c", "d"), (4.0, 3.0, 2.0, 1.0), tuple[Document, ...]())
        for number in (1, 2)
    ]
    qrels = {"q1": {"a": 1, "b": 2}, "q2": {"a": 1, "b": 1}}
    logits = np.array([[4.0, 3.0, 2.0, 1.0] * 2], np.float32)
    scores = Scores(np.array([0, 4, 8]), logits[0], logits, np.ones((1, 8), np.float32))
    fusion = kernels.Fusion("last", "z-score", 60.0, [], [])
    for least, recall, ids in ((1, [0.5, 0.5], ["q1", "q2"]), (2, [0.0], ["q1"])):
        table = make_table(scores, requests, qrels, [StageCost(0.0, 1.0, 0.0, 0.0, 0)], least)
        made, both = Explorer(table, fusion, 0.0), np.arange(2)
        found = made.run(kernels.Choices.fixed(np.array([[1]])), both)
        assert found.recall[0][~np.isnan(found.recall[0])].tolist() == recall
        assert found.ndcg[0].tolist() == pytest.approx([ndcg(qrels[name], ["a", "b", "c", "d"]) for name in qrels])
        lost = find_lost(made, ["s"], np.array([1]), requests, both)
        assert [entry["query_id"] for entry in lost] == ids
        assert [entry["lost"] for entry in lost] == [{"s": 1}] * len(ids)
        assert relevant_counts(select(table, np.array([1, 0]))).tolist() == ([2, 2] if least == 1 else [0, 1])


def test_a_half_without_anything_relevant_is_refused_before_the_work() -> None:
    requests = [Request(f"q{n}", "", ("a",), (1.0,), tuple[Document, ...]()) for n in range(8)]
    qrels = {f"q{n}": {"a": 1 if n % 2 else 0, "b": 1} for n in range(8)}
    first, second = np.array([0, 1, 2, 3]), np.array([4, 5, 6, 7])
    found = describe_population(requests, qrels, first, second, TuneSettings())
    assert (found["choosing_without_relevant"], found["reporting_without_relevant"]) == (2, 2)
    assert "4 of 8 queries have no relevant candidate (2 of those to choose with, 2 held back)" in found["text"]
    with pytest.raises(InputError, match="held back has a candidate of grade 1"):
        describe_population(requests, qrels, np.array([1, 3, 5, 7]), np.array([0, 2, 4, 6]), TuneSettings())
    with pytest.raises(InputError, match="to choose with has a candidate of grade 2"):
        describe_population(requests, qrels, first, second, TuneSettings(relevant_from=2))
    with pytest.raises(InputError, match=r"here are 2 \(2 more have no relevant candidate"):
        describe_population(requests, qrels, first, second, TuneSettings(max_recall_loss=0.5))  # 4 would not do either


def test_a_calibration_to_another_notion_of_relevant_is_named(models: Path) -> None:
    spec = load_spec(models / "ce2")
    assert calibration_warnings(["ce2"], [replace(spec, calibration=None)], 2) == []
    fitted = replace(spec, calibration=Calibration("platt", fitted_on={"relevant_from": 2}))
    assert calibration_warnings(["ce2"], [fitted], 2) == []
    (said,) = calibration_warnings(["ce2"], [fitted], 1)
    assert "grade 2 and more" in said


def test_exploring_parts_on_several_cores_changes_nothing() -> None:
    made = explorer()
    choices = kernels.Choices.fixed(all_choices([1, 5, 40], 2))
    some = np.array([3, 59, 7, 20])
    whole = kernels.explore(made.table, made.fusion, choices)
    found = made.run(choices, some)
    assert np.array_equal(found.ndcg, whole.ndcg[:, some])
    assert np.array_equal(found.pairs, whole.pairs[:, some])
    assert found.ms == pytest.approx(whole.ms[:, some] + 0.5)
    assert select(made.table, some).cu_candidates.tolist() == [0, 40, 80, 120, 160]


def test_rules_per_query_save_work_at_equal_quality() -> None:
    made, everything = explorer(), np.arange(60)
    fixed, best = tune_policies(made, np.array([20, 5]), everything, 40)
    assert set(best) == {"margin", "min_score", "dynamic"}
    for policy, found in best.values():
        assert as_good(fixed.ndcg[0], found.ndcg[0])
        assert policy.choice.keeps[0, 1] == 5  # the last stage saves nothing for a later one
    assert best["margin"][1].ms.mean() < fixed.ms.mean()


def test_a_temperature_fits_how_sharp_the_logits_are() -> None:
    sharp = learn_temperatures(explorer().table, np.arange(60))
    table = explorer().table
    wide = kernels.ScoreTable(
        table.cu_candidates, None, table.logits * np.float32(10), table.gains, table.ideal, table.cost, table.fixed
    )
    assert learn_temperatures(wide, np.arange(60)) == pytest.approx(10 * sharp, rel=1e-5)


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0.83, 0.97) == [0.85, 0.9, 0.95]
    assert log_ticks(1.0, 100.0) == [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    assert ticks(1.0, 1.0) == [1.0]
    assert log_ticks(2.0, 2.0) == [2.0]


def test_what_lies_outside_a_plot_sits_on_its_edge() -> None:
    plot = Plot("x", "y", (1.0, 10.0), (0.0, 1.0), log=True)
    assert plot.place(0.0, 2.0) == plot.place(1.0, 1.0)
    assert plot.place(1000.0, -1.0) == plot.place(10.0, 0.0)


def test_folds_report_on_queries_that_did_not_choose() -> None:
    """Against the obvious: for every fold, recommend from the others and look the own queries up."""
    generator = np.random.default_rng(4)
    keeps = all_choices([1, 3, 9], 2)
    ndcg = generator.random((len(keeps), 23)).astype(np.float32)
    ms = generator.uniform(1.0, 9.0, (len(keeps), 23)).astype(np.float32)
    explored = kernels.Explored(ndcg, ndcg, ms, np.zeros((len(keeps), 23, 2), np.int64))
    allowed = answering(keeps, 3)
    uncut = np.flatnonzero((keeps > 0).any(axis=1) & ((keeps == 9) | (keeps == 0)).all(axis=1))
    found = cross_validate(explored, keeps, allowed, uncut, 6.0, seed=1)
    owner = np.random.default_rng(1).permutation(23) % 5
    quality, whole = [], []
    for query in range(23):
        rest = [other for other in range(23) if owner[other] != owner[query]]
        p50 = np.median(ms[:, rest], axis=1).astype(np.float64)
        quality.append(ndcg[recommend(ndcg[:, rest], p50, keeps, allowed, 6.0)[0], query])
        best = max(uncut.tolist(), key=lambda place: float(ndcg[place, rest].astype(np.float64).mean()))
        whole.append(ndcg[best, query])
    assert found["recommended"]["ndcg_10"] == pytest.approx(np.mean(quality))
    assert found["best_without_cut_offs"]["ndcg_10"] == pytest.approx(np.mean(whole))
    assert found["difference"] == pytest.approx(np.mean(quality) - np.mean(whole), abs=1e-6)
    assert sum(choice["folds"] for choice in found["choices"]) == found["folds"] == 5
