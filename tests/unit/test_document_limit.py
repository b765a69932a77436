"""``max_document_tokens``: a document is read so far and no further, by every kind of stage, and that is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascaderank import Cascade, InputError, Stage
from decoder_graph import make_decoder
from ranking import QUERY, as_documents, random_texts, summary
from tiny import make_encoder

TEXTS = [*random_texts(20, 5), "", "red " * 60]


@pytest.fixture(scope="module")
def folders(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("limited")
    return {name: models / name for name in ("ce", "bi", "late")} | {
        "prefixed": make_encoder(base / "prefixed", input__document_prefix="one two "),
        "decoder": make_decoder(base / "decoder"),
        "unshared": make_decoder(base / "unshared", shared=False),
    }


@pytest.mark.parametrize("name", ["ce", "bi", "late", "prefixed", "decoder", "unshared"])
@pytest.mark.parametrize("limit", [1, 4, 1000])
def test_it_is_as_if_the_texts_were_shorter(folders: dict[str, Path], name: str, limit: int) -> None:
    """A word is a token here. What the model puts before a text does not count."""
    cut = [" ".join(text.split()[:limit]) for text in TEXTS]
    with Cascade([Stage(folders[name], keep=len(TEXTS))]) as cascade:
        found, expected = cascade.rank(QUERY, TEXTS, max_document_tokens=limit), cascade.rank(QUERY, cut)
        window = cascade.rank(QUERY, TEXTS).trace.stages[0]
    assert [row[:2] for row in summary(found)] == [row[:2] for row in summary(expected)]
    assert [hit.score for hit in found] == pytest.approx([hit.score for hit in expected], abs=1e-6)
    (stage,) = found.trace.stages
    longer = sum(len(text.split()) > limit for text in TEXTS)
    assert stage.truncated_documents == max(longer, window.truncated_documents)
    lost = sum(max(0, len(text.split()) - limit) for text in TEXTS)
    assert stage.truncated_tokens == max(lost, window.truncated_tokens)


def test_it_applies_to_every_stage_and_to_stored_tokens_but_not_to_stored_vectors(models: Path) -> None:
    documents = as_documents(TEXTS)
    stages = [Stage(models / "bi", keep=15), Stage(models / "late", keep=10), Stage(models / "ce", keep=5)]
    with Cascade(stages) as cascade:
        store = cascade.encode(documents)
        plain = cascade.rank(QUERY, documents, max_document_tokens=2).trace.stages
        stored = cascade.rank(QUERY, documents, store=store, max_document_tokens=2).trace.stages
    assert all(stage.truncated_documents for stage in plain)
    assert [bool(stage.truncated_documents) for stage in stored] == [False, False, True]
    for stage in stored[:2]:
        assert "max_document_tokens does not cut those" in stage.note
    assert not any("max_document_tokens" in stage.note for stage in (*plain, stored[2]))


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "4"])
def test_what_is_no_limit(models: Path, wrong: object) -> None:
    with Cascade([Stage(models / "ce", keep=5)]) as cascade, pytest.raises(InputError, match="max_document_tokens is"):
        cascade.rank(QUERY, TEXTS, max_document_tokens=wrong)  # type: ignore[arg-type]
