"""The labelled questions: well formed, answered by passages that exist, and evenly divided."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from cascaderank.demo.corpus import read_corpus
from cascaderank.demo.questions import Question, absent_passages, load_questions
from cascaderank.errors import InputError

QUESTIONS = load_questions()


def module_of(passage: str) -> str:
    return passage.partition(":" if passage.startswith("topic:") else ".")[0]


def test_at_least_150() -> None:
    assert len(QUESTIONS) >= 150


def test_nothing_occurs_twice() -> None:
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS)
    words = [" ".join(sorted(re.findall(r"\w+", question.question.lower()))) for question in QUESTIONS]
    assert [text for text, count in Counter(words).items() if count > 1] == []


def test_every_passage_exists_here() -> None:
    assert absent_passages(QUESTIONS, [document.id for document in read_corpus()]) == []


def test_each_has_a_direct_answer_and_few_of_them() -> None:
    for question in QUESTIONS:
        assert set(question.relevant.values()) <= {1, 2, 3}, question.id
        assert 3 in question.relevant.values(), question.id
        assert 1 <= len(question.relevant) <= 8, question.id


def test_halves_are_balanced() -> None:
    dev, test = load_questions("dev"), load_questions("test")
    assert abs(len(dev) - len(test)) <= 1
    assert sorted([*dev, *test], key=lambda question: question.id) == sorted(
        QUESTIONS, key=lambda question: question.id
    )


def test_many_parts_of_the_library_are_asked_about() -> None:
    first = Counter(module_of(next(iter(question.relevant))) for question in QUESTIONS)
    assert len(first) >= 90
    for module, count in first.items():
        assert count <= (25 if module == "topic" else 10), module


def test_questions_do_not_name_their_answer() -> None:
    """A question that names the function tests a look-up and not a search."""
    for question in QUESTIONS:
        for passage, grade in question.relevant.items():
            name = passage.rpartition(":")[2].partition("#")[0]
            assert grade < 3 or "." not in name or name.lower() not in question.question.lower(), question.id


def test_an_absent_passage_is_reported() -> None:
    question = Question("x", "dev", "?", {"json.dumps": 3, "no.such": 2})
    assert absent_passages([question], ["json.dumps", "json"]) == [("x", "no.such")]


def test_an_unknown_half_is_refused() -> None:
    with pytest.raises(InputError, match="'train'"):
        load_questions("train")  # type: ignore[arg-type]
