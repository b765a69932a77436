"""Measures against values computed by hand, and the properties that any input must keep."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascaderank.errors import InputError
from cascaderank.evaluate import bootstrap_interval, load_beir, mean_reciprocal_rank, ndcg, recall, reciprocal_rank
from cascaderank.evaluate.data import find_file, open_text

RELEVANCE = {"a": 3, "b": 2, "c": 0, "d": 1}
IDS = [f"d{number}" for number in range(12)]
judgements = st.dictionaries(st.sampled_from(IDS), st.integers(-1, 4), max_size=len(IDS))
rankings = st.permutations(IDS).flatmap(lambda ids: st.integers(0, len(ids)).map(lambda size: ids[:size]))
cut_offs = st.integers(1, 15)


def test_ndcg_by_hand() -> None:
    # Gains 7, 3, 0, 1. Ranked b, c, a, x: 3/log2(2) + 0 + 7/log2(4) = 3 + 3.5; ideal a, b, d: 7 + 3/log2(3) + 1/2.
    expected = 6.5 / (7 + 3 / math.log2(3) + 0.5)
    assert ndcg(RELEVANCE, ["b", "c", "a", "x"], k=10) == pytest.approx(expected, abs=1e-15)
    assert expected == pytest.approx(0.692020, abs=1e-6)


def test_ndcg_cut_off_applies_to_the_ranking_and_to_the_ideal() -> None:
    # At 2 only b counts: 3 against 7 + 3/log2(3).
    assert ndcg(RELEVANCE, ["b", "c", "a"], k=2) == pytest.approx(3 / (7 + 3 / math.log2(3)), abs=1e-15)


def test_recall_by_hand() -> None:
    assert recall(RELEVANCE, ["c", "d", "x", "a"], k=3) == pytest.approx(1 / 3)
    assert recall(RELEVANCE, ["c", "d", "x", "a"], k=4) == pytest.approx(2 / 3)


def test_reciprocal_rank_by_hand() -> None:
    assert reciprocal_rank(RELEVANCE, ["c", "x", "b", "a"]) == pytest.approx(1 / 3)
    assert reciprocal_rank(RELEVANCE, ["c", "x", "b", "a"], k=2) == 0.0
    assert mean_reciprocal_rank({"q": RELEVANCE, "r": {"z": 1}}, {"q": ["c", "a"]}) == pytest.approx(0.25)


def test_nothing_relevant_scores_zero() -> None:
    assert ndcg({"a": 0}, ["a"]) == recall({"a": 0}, ["a"], 1) == reciprocal_rank({}, ["a"]) == 0.0


@given(judgements, rankings, cut_offs)
def test_measures_stay_between_zero_and_one(relevance: dict[str, int], ranked: list[str], k: int) -> None:
    for value in (ndcg(relevance, ranked, k), recall(relevance, ranked, k), reciprocal_rank(relevance, ranked, k)):
        assert 0.0 <= value <= 1.0


@given(judgements, cut_offs)
def test_best_order_scores_one(relevance: dict[str, int], k: int) -> None:
    best = sorted(IDS, key=lambda identifier: -relevance.get(identifier, 0))
    relevant = sum(grade > 0 for grade in relevance.values())
    if relevant:
        assert ndcg(relevance, best, k) == 1.0
        assert reciprocal_rank(relevance, best, k) == 1.0
        assert recall(relevance, best, k) == min(k, relevant) / relevant


@given(judgements, st.permutations(IDS), cut_offs, st.randoms(use_true_random=False))
def test_order_of_the_irrelevant_tail_does_not_matter(
    relevance: dict[str, int], ranked: list[str], k: int, random: Random
) -> None:
    last = max((place for place, name in enumerate(ranked) if relevance.get(name, 0) > 0), default=-1)
    tail = ranked[last + 1 :]
    random.shuffle(tail)
    changed = ranked[: last + 1] + tail
    assert ndcg(relevance, changed, k) == ndcg(relevance, ranked, k)
    assert recall(relevance, changed, k) == recall(relevance, ranked, k)


@given(judgements, st.permutations(IDS), st.integers(0, len(IDS) - 2))
def test_moving_a_better_document_up_never_hurts(relevance: dict[str, int], ranked: list[str], place: int) -> None:
    upper, lower = ranked[place], ranked[place + 1]
    if max(relevance.get(lower, 0), 0) > max(relevance.get(upper, 0), 0):
        swapped = [*ranked[:place], lower, upper, *ranked[place + 2 :]]
        assert ndcg(relevance, swapped, len(IDS)) > ndcg(relevance, ranked, len(IDS))


def test_a_document_ranked_twice_is_refused_by_name() -> None:
    for measure in (ndcg, recall, reciprocal_rank):
        with pytest.raises(InputError, match="'a' is ranked twice"):
            measure(RELEVANCE, ["b", "a", "a"], 3)


def test_cut_off_zero_is_refused() -> None:
    with pytest.raises(InputError, match="k: 0"):
        ndcg(RELEVANCE, ["a"], 0)


def test_bootstrap_of_a_constant_is_that_constant() -> None:
    assert bootstrap_interval([0.5] * 20) == (0.5, 0.5)


def test_bootstrap_is_repeatable_and_agrees_with_the_normal_interval() -> None:
    values = [float(number % 10) / 10 for number in range(200)]  # mean 0.45, standard deviation 0.2872
    low, high = bootstrap_interval(values, seed=3)
    assert (low, high) == bootstrap_interval(values, seed=3)
    half = 1.96 * 0.2872 / math.sqrt(200)
    assert low == pytest.approx(0.45 - half, abs=0.004)
    assert high == pytest.approx(0.45 + half, abs=0.004)
    narrow = bootstrap_interval(values, seed=3, confidence=0.5)
    assert low < narrow[0] < narrow[1] < high


@pytest.mark.parametrize("values", [[], [[1.0]], [1.0, float("nan")]])
def test_bootstrap_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(InputError, match="values"):
        bootstrap_interval(values)


def write_collection(root: Path, qrels: str) -> Path:
    corpus = [{"_id": "1", "title": "T", "text": "one"}, {"_id": "2", "title": "", "text": "two"}]
    with gzip.open(root / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in corpus)
    queries = [{"_id": name, "text": f"question {name}"} for name in ("q1", "q2", "q3")]
    (root / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries), encoding="utf-8")
    (root / "qrels").mkdir()
    (root / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels, encoding="utf-8")
    return root


def test_load_beir(tmp_path: Path) -> None:
    root = write_collection(tmp_path, "q1\t1\t2\nq1\t2\t0\nq2\t1\t0\n")
    corpus, queries, qrels = load_beir(root, "test")
    assert corpus == {"1": "T one", "2": "two"}
    assert queries == {"q1": "question q1"}  # q2 has nothing relevant, q3 is not judged
    assert qrels == {"q1": {"1": 2, "2": 0}}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("q1\t9\t1\n", "test.tsv:2: document '9'"),
        ("q1\t1\t1\nq9\t1\t1\n", "test.tsv:3: query 'q9'"),
        ("q1\t1\n", "test.tsv:2: expected query"),
        ("q1\t1\thigh\n", "test.tsv:2: grade 'high' is not an integer"),
        ("q1\t1\t1\nq1\t1\t1\nq1\t1\t0\n", "test.tsv:4: document '1' of query 'q1' has grade 0, but 1 in line 2"),
    ],
)
def test_load_beir_names_file_and_line(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_beir(write_collection(tmp_path, rows), "test")


def test_a_judgement_in_the_first_line_is_read_and_one_that_is_repeated_is_one(tmp_path: Path) -> None:
    root = write_collection(tmp_path, "")
    table = root / "qrels" / "test.tsv"
    table.write_text("q1\t1\t2\nq1\t2\t0\nq1\t1\t2\n", encoding="utf-8")
    assert load_beir(root, "test").qrels == {"q1": {"1": 2, "2": 0}}
    table.write_text("q1\t1\t1.0\n", encoding="utf-8")  # no header either, and not to be lost as one
    with pytest.raises(InputError, match=r"test.tsv:1: grade '1.0' is not an integer"):
        load_beir(root, "test")


@pytest.mark.parametrize(("name", "lines"), [("corpus.jsonl", 2), ("queries.jsonl", 3)])
def test_an_id_that_is_given_twice_is_refused(tmp_path: Path, name: str, lines: int) -> None:
    root = write_collection(tmp_path, "q1\t1\t2\n")
    with open_text(find_file(root, name)) as file:
        texts = file.read().splitlines()
    assert len(texts) == lines
    (root / name).write_text("\n".join([*texts, "", texts[0]]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name}:{lines + 2}: _id '\w+' repeats line 1; keep one"):
        load_beir(root, "test")


def test_load_beir_says_which_splits_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such split; .* has test"):
        load_beir(write_collection(tmp_path, ""), "dev")
    with pytest.raises(InputError, match=r"corpus\.jsonl: not found"):
        load_beir(tmp_path / "qrels", "test")
