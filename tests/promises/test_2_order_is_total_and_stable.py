"""Logit descending, then the previous stage's order, which starts from the index; whatever the threads and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Stage
from tiny import WORDS, make_cross_encoder

QUERY = "red cat"


def tied_texts(count: int) -> list[str]:
    """Texts with few different scores: most places are decided by ties."""
    generator = np.random.default_rng(21)
    return [" ".join(generator.choice(WORDS[:6], generator.integers(1, 6))) for _ in range(count)]


def test_ties_follow_the_index(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=100)]) as cascade:
        ranking = cascade.rank(QUERY, tied_texts(300))
    keys = [(-hit.score, hit.index) for hit in ranking]
    assert keys == sorted(keys)
    assert len({hit.score for hit in ranking}) < 12


def test_ties_follow_the_first_pass(models: Path) -> None:
    first = np.random.default_rng(1).permutation(300).astype(float)
    with Cascade([Stage(models / "ce", keep=100)]) as cascade:
        ranking = cascade.rank(QUERY, tied_texts(300), scores=first)
    keys = [(-hit.score, -first[hit.index]) for hit in ranking]
    assert keys == sorted(keys)


def test_ties_follow_the_previous_stage(models: Path, tmp_path: Path) -> None:
    """The second stage gives everybody the same logit; the first one's order stays as it was."""
    flat = make_cross_encoder(tmp_path / "flat", graph={"scale": 0.0})
    texts = tied_texts(200)
    with (
        Cascade([Stage(models / "bi", keep=200)]) as one,
        Cascade([Stage(models / "bi", keep=150), Stage(flat, keep=10)]) as two,
    ):
        assert two.rank(QUERY, texts).order.tolist() == one.rank(QUERY, texts).order.tolist()


def test_logits_order_where_squashed_scores_are_all_one(tmp_path: Path) -> None:
    """A float32 sigmoid is exactly 1 from about 17 up: 18 and 27 look alike and do not rank alike."""
    folder = make_cross_encoder(tmp_path / "m", graph={"scale": 9.0}, output__score="sigmoid")
    with Cascade([Stage(folder, keep=2)]) as cascade:
        ranking = cascade.rank(QUERY, ["red cat", "red red cat cat", "red red cat"])
    assert ranking.order.tolist() == [1, 2, 0]
    assert [hit.score for hit in ranking] == [1.0, 1.0, pytest.approx(1.0)]


def test_negative_zero_ties_with_zero(tmp_path: Path) -> None:
    """A model that negates gives -0.0 for no match; it is not below 0.0."""
    folder = make_cross_encoder(tmp_path / "m", graph={"scale": -1.0})
    with Cascade([Stage(folder, keep=9)]) as cascade:
        assert cascade.rank(QUERY, ["dog", "fish", "", "red"]).order.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("fusion", ["last", "rrf", "convex"])
def test_the_same_for_any_thread_count_and_batch_size(models: Path, fusion: str) -> None:
    texts = tied_texts(250)
    first = np.round(np.linspace(0, 3, 250), 1)
    found = set()
    for workers in (1, 2, 4, 7):
        for budget in (None, 32, 257, 100_000):
            stages = [
                Stage(models / "ce", keep=120, token_budget=budget),
                Stage(models / "ce2", keep=30, token_budget=budget, threads=1 + workers % 2),
            ]
            with Cascade(stages, fusion=fusion, workers=workers) as cascade:
                ranking = cascade.rank(QUERY, texts, scores=first)
                found.add((ranking.order.tobytes(), ranking.values.tobytes(), ranking.scores.tobytes()))
    assert len(found) == 1


def test_a_hundred_repetitions_are_one_result(models: Path) -> None:
    texts = tied_texts(40)
    with Cascade([Stage(models / "bi", keep=20), Stage(models / "ce", keep=5)], fusion="convex") as cascade:
        found = {cascade.rank(QUERY, texts).order.tobytes() for _ in range(100)}
    assert len(found) == 1
