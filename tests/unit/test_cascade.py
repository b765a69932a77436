"""A cascade on synthetic models: documents in all their forms, and what comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascaderank import (
    Cascade,
    CascadeConfig,
    Document,
    Stage,
)
from cascaderank.model import installed_models
from ranking import COUNTS, ORDER, QUERY, TEXTS, as_documents, summary


def test_strings(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=3)]) as cascade:
        ranking = cascade.rank(QUERY, TEXTS)
    assert ranking.order.tolist() == ORDER
    assert [hit.score for hit in ranking] == [COUNTS[index] for index in ORDER]
    assert [hit.id for hit in ranking] == [str(index) for index in ORDER]
    assert [hit.rank for hit in ranking] == list(range(1, 8))
    assert ranking.kept == 3
    assert not ranking.degraded


@pytest.mark.parametrize(
    "documents",
    [
        tuple(TEXTS),
        [{"id": str(index), "text": text} for index, text in enumerate(TEXTS)],
        [{"text": text} for text in TEXTS],
        [{"text": text, "title": "ignored"} for text in TEXTS],
        [Document(str(index), text) for index, text in enumerate(TEXTS)],
        [Document("0", TEXTS[0]), *({"text": text} for text in TEXTS[1:])],
    ],
    ids=["tuple", "dicts", "dicts without id", "dicts with more", "Document", "dict and Document"],
)
def test_every_form_ranks_alike(models: Path, documents: list) -> None:
    with Cascade([Stage(models / "ce", keep=3)]) as cascade:
        assert summary(cascade.rank(QUERY, documents)) == summary(cascade.rank(QUERY, TEXTS))


def test_first_pass_scores_come_with_the_documents_or_apart(models: Path) -> None:
    first = [0.5, 0.1, 0.2, 0.9, 0.8, 0.7, 0.0]
    with Cascade([Stage(models / "ce", keep=3)], fusion="convex") as cascade:
        apart = cascade.rank(QUERY, as_documents(TEXTS), scores=first)
        within = cascade.rank(
            QUERY, [Document(f"d{i}", t, s) for i, (t, s) in enumerate(zip(TEXTS, first, strict=True))]
        )
        array = cascade.rank(QUERY, as_documents(TEXTS), scores=np.array(first))
    assert summary(apart) == summary(within) == summary(array)


def test_the_caller_s_objects_are_left_alone(models: Path) -> None:
    documents = [{"id": f"d{index}", "text": text, "score": 1.0} for index, text in enumerate(TEXTS)]
    before = [dict(document) for document in documents]
    with Cascade([Stage(models / "ce", keep=3)]) as cascade:
        cascade.rank(QUERY, documents)
    assert documents == before


def test_no_documents(models: Path) -> None:
    with Cascade([Stage(models / "bi", keep=5), Stage(models / "ce", keep=3)], fusion="convex") as cascade:
        for ranking in (
            cascade.rank(QUERY, []),
            cascade.rank(QUERY, [], scores=[]),
            cascade.rank(QUERY, [], top_n=3),
            cascade.rank(QUERY, [], deadline_ms=50),
            cascade.rank(QUERY, [], store=cascade.encode([])),
            cascade.rank(QUERY, ids=[], store=cascade.encode(as_documents(TEXTS))),
        ):
            assert list(ranking) == []
            assert ranking.kept == 0
            assert not ranking.degraded
            assert ranking.trace.table()


@pytest.mark.parametrize("kind", ["ce", "ce2", "bi", "late"])
@pytest.mark.parametrize("fusion", ["last", "rrf", "convex"])
def test_a_single_candidate(models: Path, kind: str, fusion: str) -> None:
    with Cascade([Stage(models / kind, keep=1)], fusion=fusion) as cascade:
        (hit,) = cascade.rank(QUERY, ["red"])
    assert (hit.index, hit.rank, hit.stage) == (0, 1, kind)
    assert hit.score is not None
    assert len(hit.scores) == 1


def test_one_document_scores_like_one_among_many(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=9)]) as cascade:
        assert cascade.rank(QUERY, [TEXTS[2]])[0].score == cascade.rank(QUERY, TEXTS)[1].score == 3.0


def test_top_n(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=2)]) as cascade:
        whole = summary(cascade.rank(QUERY, TEXTS))
        for wanted in (1, 2, 3, 6, 7, 8, 1000):
            assert summary(cascade.rank(QUERY, TEXTS, top_n=wanted)) == whole[:wanted]


def test_equal_texts_stand_together_first_by_input_order(models: Path) -> None:
    texts = ["red", "dog", "red cat", "red", "dog", "red cat"]
    with Cascade([Stage(models / "bi", keep=5), Stage(models / "ce", keep=3)], fusion="convex") as cascade:
        ranking = cascade.rank(QUERY, texts)
    assert ranking.order.tolist()[:2] == [2, 5]
    assert ranking.order.tolist().index(3) == ranking.order.tolist().index(0) + 1


def test_an_empty_text_is_a_document(models: Path) -> None:
    for kind in ("ce", "ce2", "bi", "late"):
        with Cascade([Stage(models / kind, keep=3)]) as cascade:
            assert sorted(cascade.rank(QUERY, ["", "red", " "]).order.tolist()) == [0, 1, 2]


def test_warm_up_changes_no_score(models: Path) -> None:
    with Cascade([Stage(models / "bi", keep=8), Stage(models / "late", keep=4)]) as cascade:
        before = summary(cascade.rank(QUERY, TEXTS))
        cascade.warm_up()
        assert summary(cascade.rank(QUERY, TEXTS)) == before


def test_the_settings_can_be_read_back(models: Path) -> None:
    config = CascadeConfig(stages=(Stage(models / "ce", keep=4, provider="cpu"),), fusion="rrf")
    with Cascade(config) as cascade:
        assert cascade.config is config
        assert cascade.providers == ("cpu",)
        assert [spec.name for spec in cascade.models] == ["ce"]


def test_the_default_cascade_answers() -> None:
    """The shipped models, three stages: the passage that answers comes first."""
    if "minilm-bi" not in installed_models():
        pytest.skip("cascaderank-models is not installed (pip install ./models)")
    documents = [
        "Bears sleep through the winter.",
        "The built-in function sorted returns a new sorted list from the items of an iterable.",
        "A dict maps keys to values and keeps the order in which they were inserted.",
        "Open a file with the built-in function open and read its lines in a loop.",
    ]
    with Cascade.default() as cascade:
        ranking = cascade.rank("how do I read a text file line by line", documents)
    assert ranking[0].index == 3
    assert len(ranking.trace.stages) == len(cascade.names)
