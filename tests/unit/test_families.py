"""Inputs of each model family, seen through graphs whose score tells whether the input was right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Stage
from graphs import make_separated
from tiny import PAIR, ids, make_cross_encoder, make_encoder, table

QUERY = "red cat"
DOCUMENTS = ["red cat", "dog", "cat cat red", "", "fish one two three blue"]
COUNTS = [2.0, 0.0, 3.0, 0.0, 0.0]

ROBERTA = ["<s>", "$query", "</s>", "</s>", "$document", "</s>"]
MODERNBERT = ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"]


def scores(folder: Path, query: str = QUERY, documents: list[str] = DOCUMENTS, **stage: object) -> list[float]:
    """Scores by candidate. Rows of several lengths share a micro-batch when ``token_budget`` is given."""
    with Cascade([Stage(folder, keep=len(documents), **stage)]) as cascade:
        ranking = cascade.rank(query, documents)
    return [hit.score for hit in sorted(ranking, key=lambda hit: hit.index)]


@pytest.fixture(params=[None, 64], ids=["alone", "together"])
def budget(request: pytest.FixtureRequest) -> int | None:
    return request.param


def test_bert_has_segments(tmp_path: Path, budget: int | None) -> None:
    assert scores(make_cross_encoder(tmp_path / "bert"), token_budget=budget) == COUNTS


def test_wrong_segments_change_the_score(tmp_path: Path) -> None:
    """The test above would notice: with every token in segment 0 nothing is a document."""
    assert scores(make_cross_encoder(tmp_path / "bert", input__segments=(0, 0, 0, 0, 0))) == [0.0] * 5


def test_roberta_has_two_separators_no_segments_and_positions_from_two(tmp_path: Path, budget: int | None) -> None:
    folder = make_separated(
        tmp_path / "roberta", template=ROBERTA, separator="</s>", positions=2, input__pad_token="<pad>"
    )
    assert scores(folder, token_budget=budget) == [200.0 + count for count in COUNTS]


def test_a_wrong_position_offset_changes_the_score(tmp_path: Path) -> None:
    folder = make_separated(tmp_path / "roberta", template=ROBERTA, separator="</s>", positions=0)
    assert scores(folder) == COUNTS


def test_xlm_r_exports_without_position_ids(tmp_path: Path, budget: int | None) -> None:
    """Graphs of the same family may compute positions themselves; then nothing is fed."""
    folder = make_separated(
        tmp_path / "xlmr", template=ROBERTA, separator="</s>", positions=None, input__pad_token="<pad>"
    )
    assert scores(folder, token_budget=budget) == COUNTS


def test_modernbert_has_one_separator_and_no_segments(tmp_path: Path, budget: int | None) -> None:
    folder = make_separated(tmp_path / "modernbert", template=MODERNBERT, separator="[SEP]", positions=None)
    assert scores(folder, token_budget=budget) == COUNTS


def test_bert_with_positions(tmp_path: Path, budget: int | None) -> None:
    folder = make_cross_encoder(tmp_path / "bert", graph={"positions": True}, input__position_offset=3)
    assert scores(folder, token_budget=budget) == [300.0 + count for count in COUNTS]


def test_two_columns_are_a_difference_shown_as_its_sigmoid(tmp_path: Path, budget: int | None) -> None:
    """logit = yes - no; softmax[1] of the two is its sigmoid. Never column 0."""
    for name in ("softmax[1]", "yes-no"):
        folder = make_cross_encoder(tmp_path / name, graph={"columns": 2}, output__score=name)
        assert scores(folder, token_budget=budget) == pytest.approx([1 / (1 + np.exp(-c)) for c in COUNTS])


def test_one_column_with_a_sigmoid(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "ce", output__score="sigmoid")
    assert scores(folder) == pytest.approx([1 / (1 + np.exp(-c)) for c in COUNTS])


def test_a_query_prefix_is_put_before_the_query(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "ce", input__query_prefix="query: ", input__document_prefix="passage: ")
    assert scores(folder, "red", ["red", "query", "passage : query"]) == [2.0, 2.0, 3.0]  # ":" is on both sides


def test_a_prefix_the_caller_wrote_is_not_repeated(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "ce", input__query_prefix="query: ")
    assert scores(folder, "query: red", ["query"]) == scores(folder, "red", ["query"]) == [1.0]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def pooled(text: str, how: str, segments: bool = True) -> np.ndarray:
    """A text's vector by hand: rows of the embedding table; the tiny graph adds each token's segment id (0)."""
    rows = table(8)[[2, *ids(text), 3]]
    return unit({"mean": rows.mean(axis=0), "cls": rows[0], "last_token": rows[-1]}[how])


@pytest.mark.parametrize("segments", [True, False], ids=["bert", "modernbert"])
def test_bi_encoders_with_and_without_segments(tmp_path: Path, segments: bool, budget: int | None) -> None:
    folder = make_encoder(tmp_path / "bi", segments=segments)
    expected = [float(pooled(QUERY, "mean") @ pooled(text, "mean")) for text in DOCUMENTS]
    assert scores(folder, token_budget=budget) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("how", ["mean", "cls", "last_token"])
def test_pooling(tmp_path: Path, how: str, budget: int | None) -> None:
    """cls and last_token see the template's own tokens alone, so every score is 1; mean tells texts apart."""
    folder = make_encoder(tmp_path / "bi", output__pooling=how)
    expected = [float(pooled(QUERY, how) @ pooled(text, how)) for text in DOCUMENTS]
    assert scores(folder, token_budget=budget) == pytest.approx(expected, abs=1e-5)


def test_late_interaction_by_hand(tmp_path: Path, budget: int | None) -> None:
    folder = make_encoder(tmp_path / "late", "late_interaction")

    def rows(text: str) -> np.ndarray:
        vectors = table(8)[[2, *ids(text), 3]]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    expected = [float((rows(QUERY) @ rows(text).T).max(axis=1).sum()) for text in DOCUMENTS]
    assert scores(folder, token_budget=budget) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("attend", [True, False])
def test_late_interaction_expands_the_query_and_skips_punctuation(tmp_path: Path, attend: bool) -> None:
    """The query is filled up to 8 tokens with [MASK] after its template; commas of documents are left out."""
    folder = make_encoder(
        tmp_path / "late",
        "late_interaction",
        output__query_length=8,
        output__mask_token="[MASK]",
        output__skip_tokens=[","],
        output__attend_to_expansion=attend,
    )

    def rows(tokens: list[int]) -> np.ndarray:
        vectors = table(8)[tokens]
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    query = rows([2, *ids(QUERY), 3] + [4] * 4)
    documents = ["red , cat", "dog ,", ", , ,"]
    expected = [float((query @ rows([2, *ids(text.replace(",", "")), 3]).T).max(axis=1).sum()) for text in documents]
    assert scores(folder, documents=documents) == pytest.approx(expected, abs=1e-5)


def test_the_pair_template_is_the_default_one() -> None:
    """What `tiny` writes is BERT's; the tests of this file rest on it."""
    assert list(PAIR) == MODERNBERT
