"""Stores and sharing: ids equal documents, stored and unstored mix, sessions are made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascaderank import (
    Cascade,
    Document,
    Stage,
    Store,
    StoreError,
)
from ranking import QUERY, TEXTS, as_documents, random_texts, summary


def test_stages_of_one_folder_share_a_session_and_tokens(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=5), Stage(models / "ce", keep=2, name="again")]) as cascade:
        first, second = cascade._flow.scorers
        assert first.part.session is second.part.session
        assert first.part.tokenizer is second.part.tokenizer
        ranking = cascade.rank(QUERY, TEXTS)
        assert cascade.names == ("ce", "again")
        assert [hit.scores for hit in ranking[:2]] == [(4.0, 4.0), (3.0, 3.0)]
    with Cascade([Stage(models / "ce", keep=5), Stage(models / "ce", keep=2, threads=2)]) as cascade:
        first, second = cascade._flow.scorers
        assert first.part.session is not second.part.session  # other options
        assert cascade.names == ("ce", "ce#2")


def test_a_store_by_ids_equals_the_documents(models: Path) -> None:
    texts = random_texts(60)
    stages = [Stage(models / "bi", keep=30), Stage(models / "late", keep=20), Stage(models / "ce", keep=10)]
    with Cascade(stages, fusion="convex") as cascade:
        store = cascade.encode(as_documents(texts))
        chosen = [f"d{index}" for index in range(59, 4, -3)]
        by_id = cascade.rank(QUERY, ids=chosen, store=store)
        by_text = cascade.rank(QUERY, [Document(name, texts[int(name[1:])]) for name in chosen])
        both = cascade.rank(QUERY, [Document(name, texts[int(name[1:])]) for name in chosen], store=store)
    assert by_id.order.tolist() == by_text.order.tolist() == both.order.tolist()
    assert [hit.id for hit in by_id] == [hit.id for hit in by_text]
    assert [hit.score for hit in by_id] == pytest.approx([hit.score for hit in by_text], abs=1e-6)
    assert "encoded" in by_text.trace.stages[0].note
    assert by_id.trace.stages[0].note == both.trace.stages[0].note == ""
    assert by_id.trace.stages[0].encode_ms == 0.0


def test_stored_and_unstored_documents_mix(models: Path) -> None:
    texts = random_texts(40)
    documents = as_documents(texts)
    stages = [Stage(models / "bi", keep=30), Stage(models / "late", keep=20), Stage(models / "ce", keep=10)]
    with Cascade(stages, fusion="convex") as cascade:
        half = cascade.encode(documents[::2])
        mixed, plain = cascade.rank(QUERY, documents, store=half), cascade.rank(QUERY, documents)
    assert mixed.order.tolist() == plain.order.tolist()
    assert [hit.score for hit in mixed] == pytest.approx([hit.score for hit in plain], abs=1e-6)
    assert "encoded 20 documents" in mixed.trace.stages[0].note


def test_a_store_saves_and_loads(models: Path, tmp_path: Path) -> None:
    stages = [Stage(models / "bi", keep=30), Stage(models / "ce", keep=10)]
    calls: list[tuple[int, int]] = []
    with Cascade(stages) as cascade:
        made = cascade.encode(as_documents(random_texts(600)), progress=lambda done, total: calls.append((done, total)))
        made.save(tmp_path / "documents.store")
    assert calls == [(512, 600), (600, 600)]
    loaded = Store.open(tmp_path / "documents.store")
    with Cascade(stages) as other:
        wanted = [f"d{index}" for index in range(0, 600, 7)]
        assert summary(other.rank(QUERY, ids=wanted, store=made)) == summary(
            other.rank(QUERY, ids=wanted, store=loaded)
        )


@pytest.mark.parametrize(("made_by", "used_by"), [("bi", "late"), ("late", "bi"), ("ce", "bi")])
def test_a_store_of_other_models_is_refused_for_ids_and_unused_for_texts(
    models: Path, made_by: str, used_by: str
) -> None:
    documents = as_documents(TEXTS)
    with Cascade([Stage(models / made_by, keep=3)]) as maker, Cascade([Stage(models / used_by, keep=3)]) as user:
        store = maker.encode(documents)
        with pytest.raises(StoreError, match=f"(?s){used_by}.*encode the documents again"):
            user.rank(QUERY, ids=["d1"], store=store)
        assert summary(user.rank(QUERY, documents, store=store)) == summary(user.rank(QUERY, documents))
