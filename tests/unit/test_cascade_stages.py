"""Stages one after another: cut-offs, limits, skipping, swapping, sharing."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest

from cascaderank import (
    Cascade,
    Document,
    Stage,
    StoreError,
)
from ranking import ORDER, QUERY, TEXTS, summary
from tiny import make_cross_encoder, make_encoder


def test_two_stages_by_hand(models: Path) -> None:
    """The second stage sees what the first lets through; who it does not see follows in the first one's order."""
    with Cascade([Stage(models / "ce", keep=4), Stage(models / "ce2", keep=2)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
    assert ranking.order.tolist() == ORDER
    assert [hit.stage for hit in ranking] == ["ce2"] * 4 + ["ce"] * 3
    assert ranking[3].scores == (1.0, pytest.approx(1 / (1 + np.exp(-1.0))))
    assert ranking[4].scores == (1.0, None)
    assert ranking.kept == 2
    first, second = ranking.trace.stages
    assert (first.candidates_in, first.scored, first.candidates_out) == (7, 7, 4)
    assert (second.candidates_in, second.scored, second.candidates_out) == (4, 4, 2)
    assert first.tokens == sum(3 + 2 + len(text.split()) for text in TEXTS)
    assert first.micro_batches == 7


def test_a_stage_is_swapped_by_pointing_at_another_folder(models: Path, tmp_path: Path) -> None:
    """The same file, another folder behind the name: nothing but the model changes."""
    shutil.copytree(models / "ce", tmp_path / "ranker")
    (tmp_path / "cascade.toml").write_text('[[stage]]\nmodel = "ranker"\nkeep = 3\n')
    with Cascade.load(tmp_path / "cascade.toml") as cascade:
        assert cascade.rank(QUERY, TEXTS)[0].score == 4.0
    shutil.rmtree(tmp_path / "ranker")
    make_cross_encoder(tmp_path / "ranker", graph={"scale": -1.0, "bias": 1.0})
    with Cascade.load(tmp_path / "cascade.toml") as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
        assert [hit.score for hit in ranking][:3] == [1.0, 1.0, 0.0]
        assert ranking[-1].index == 6
    shutil.rmtree(tmp_path / "ranker")
    make_encoder(tmp_path / "ranker")
    with Cascade.load(tmp_path / "cascade.toml") as cascade:
        assert cascade.models[0].kind == "bi_encoder"
        assert len(cascade.rank(QUERY, TEXTS)) == 7


def test_a_stage_is_skipped_for_few_candidates(models: Path) -> None:
    stages = [Stage(models / "ce", keep=4), Stage(models / "ce2", keep=2, candidates_over=4)]
    with Cascade(stages) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
        assert {hit.stage for hit in ranking} == {"ce"}
        assert ranking.kept == 4
        assert "skipped" in ranking.trace.stages[1].note
        assert not ranking.degraded
    with Cascade([stages[0], Stage(models / "ce2", keep=2, candidates_over=3)]) as cascade:
        assert cascade.rank(QUERY, TEXTS).kept == 2


def test_a_stage_for_stored_documents_and_one_for_bare_texts(tmp_path: Path) -> None:
    make_encoder(tmp_path / "cheap", name="cheap", output__pooling="cls")
    make_encoder(tmp_path / "good", name="good")
    stages = [
        Stage(tmp_path / "cheap", keep=4, stored=False),
        Stage(tmp_path / "good", keep=4, stored=True),
    ]
    documents = [Document(f"d{number}", text) for number, text in enumerate(TEXTS)]
    with Cascade(stages) as cascade:
        store = cascade.encode(documents)
        good = cascade.models[1].digest
        assert set(store.schema.vectors) == {good}  # what never runs for stored documents is not computed for them
        runs = {
            "ids": cascade.rank(QUERY, ids=[document.id or "" for document in documents], store=store),
            "bare": cascade.rank(QUERY, documents),
            "partly": cascade.rank(QUERY, [*documents, Document("new", "one more")], store=store),
        }
        for name, ran, skipped in (("ids", "good", "cheap"), ("bare", "cheap", "good"), ("partly", "cheap", "good")):
            stages_ = {stage.name: stage for stage in runs[name].trace.stages}
            assert stages_[ran].scored == len(runs[name])
            assert stages_[skipped].scored == 0
            assert "skipped" in stages_[skipped].note
            assert "store" in stages_[skipped].note
            assert not runs[name].degraded


def test_beside_texts_a_store_without_the_stages_vectors_is_no_store(models: Path, tmp_path: Path) -> None:
    """Known by id is not enough: the stage would encode every document in the request. The stage for bare texts takes
    its place. By ids alone the store is refused, with what to do."""
    make_encoder(tmp_path / "other", output__pooling="cls")
    documents = [Document(f"d{number}", text) for number, text in enumerate(TEXTS)]
    stages = [
        Stage(models / "bi", keep=6, stored=True),
        Stage(models / "late", keep=6, stored=True),
        Stage(models / "ce", keep=5, stored=False),
        Stage(models / "ce2", keep=4),
    ]
    with (
        Cascade(stages) as cascade,
        Cascade([Stage(tmp_path / "other", keep=3)]) as maker,
        Cascade([stages[0]]) as half,
    ):
        for store, ran in (
            (cascade.encode(documents), ["bi", "late", "ce2"]),
            (maker.encode(documents), ["ce", "ce2"]),
            (half.encode(documents), ["bi", "ce", "ce2"]),
        ):
            traces = [
                cascade.rank(QUERY, documents, store=store).trace.stages,
                asyncio.run(cascade.arank(QUERY, documents, store=store)).trace.stages,
            ]
            for trace in traces:
                assert [stage.name for stage in trace if stage.scored] == ran
                assert not any("encoded" in stage.note for stage in trace)
                assert all("the vectors needed" in stage.note for stage in trace if not stage.scored)
        with pytest.raises(StoreError, match=r"no vectors of model 'bi'.*encode the documents again"):
            cascade.rank(QUERY, ids=["d1"], store=maker.encode(documents))


def test_all_stages_skipped_is_the_first_pass(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=4, candidates_over=50)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS[:3], scores=[1.0, 3.0, 2.0])
        assert summary(ranking) == [(i, str(i), s, None, (None,)) for i, s in ((1, 3.0), (2, 2.0), (0, 1.0))]
        assert [hit.score for hit in cascade.rank(QUERY, TEXTS[:3])] == [None] * 3


def test_min_score_drops_below_the_rest(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=7, min_score=1.0), Stage(models / "ce2", keep=7)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
    assert ranking.kept == 5  # at the minimum stays
    assert ranking.order.tolist() == ORDER
    assert [hit.stage for hit in ranking[5:]] == ["ce", "ce"]
    assert "2 candidates were below min_score" in ranking.trace.stages[0].note


def test_min_score_is_a_score_not_a_logit(models: Path) -> None:
    """0.9 of a sigmoid is a logit of 2.2, between counts 2 and 3."""
    with Cascade([Stage(models / "ce2", keep=7, min_score=0.9)]) as cascade:
        assert cascade.rank(QUERY, TEXTS).kept == 2


def test_margin_counts_from_the_best(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=7, margin=2.0)]) as cascade:
        assert cascade.rank(QUERY, TEXTS).kept == 3
        assert cascade.rank(QUERY, TEXTS[:2]).kept == 2


def test_nobody_passes(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=7, min_score=100.0), Stage(models / "ce2", keep=2)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
    assert ranking.kept == 0
    assert ranking.order.tolist() == ORDER
    assert len(ranking.trace.stages) == 1
    assert not ranking.degraded
