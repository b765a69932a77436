"""Documents as columns. What is refused: tests/bad_input."""

from __future__ import annotations

import numpy as np
import pytest

from cascaderank.documents import Document, check_query, check_text, read_documents, read_ids
from cascaderank.errors import InputError


def test_strings_have_no_ids() -> None:
    found = read_documents(["a", "b"], None, 10)
    assert (found.size, list(found.texts), list(found.ids), found.scores) == (2, ["a", "b"], [], None)
    assert found.id_of(1) == "1"
    assert found.describe(1) == "documents[1]"


def test_dicts_and_documents_have_ids() -> None:
    for documents in (
        [{"id": "x", "text": "a", "score": 2}, {"id": "y", "text": "b", "score": 1.5}],
        [Document("x", "a", 2.0), Document("y", "b", 1.5)],
    ):
        found = read_documents(documents, None, 10)
        assert (list(found.texts), list(found.ids)) == (["a", "b"], ["x", "y"])
        assert found.scores is not None
        assert found.scores.dtype == np.float32
        assert found.scores.tolist() == [2.0, 1.5]
        assert found.id_of(0) == "x"
        assert found.describe(0) == "documents[0] (id 'x')"


@pytest.mark.parametrize("score", [np.float32(2), np.int64(2), 2])
def test_numbers_of_other_kinds_are_scores(score: object) -> None:
    found = read_documents([{"text": "a", "score": score}], None, 10)
    assert found.scores is not None
    assert found.scores.tolist() == [2.0]


def test_scores_given_apart_win() -> None:
    found = read_documents([Document("x", "a", 1.0)], [7.0], 10)
    assert found.scores is not None
    assert found.scores.tolist() == [7.0]


def test_a_str_of_a_subclass_is_a_text() -> None:
    class Text(str):
        __slots__ = ()

    assert list(read_documents([Text("a"), "b"], None, 10).texts) == ["a", "b"]
    with pytest.raises(InputError, match=r"documents\[0\].*surrogate"):
        read_documents([Text("\ud800")], None, 10)


def test_the_limit_is_inclusive() -> None:
    assert read_documents(["a"] * 3, None, 3).size == 3
    with pytest.raises(InputError, match="4 candidates, at most 3"):
        read_documents(["a"] * 4, None, 3)
    assert read_ids(["a", "b"], None, 2).size == 2
    with pytest.raises(InputError, match="2 candidates, at most 1"):
        read_ids(["a", "b"], None, 1)


def test_nothing_is_a_request_too() -> None:
    for scores in (None, []):
        assert read_documents([], scores, 10).size == 0
        assert read_ids([], scores, 10).size == 0
    with pytest.raises(InputError, match=r"shape \(1,\) for 0 documents"):
        read_documents([], [1.0], 10)


def test_texts_are_any_unicode() -> None:
    for text in ("", "\x00", "é", "\U0001f600", "\uffff", "a\u0301", "\u202ered"):
        assert check_text(text, "here") is text
    assert check_query(" red ") == " red "
