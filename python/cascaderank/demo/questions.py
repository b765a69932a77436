"""The labelled questions about the demo's corpus: written by hand, with the passages that answer them.

The passages to judge were gathered by name and from the first results of BM25 and of a dense encoder, then read and
graded. No question was chosen, changed or dropped for what a model makes of it; those were dropped whose answer the
corpus does not hold. The halves were drawn by a seeded shuffle, alternating.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from cascaderank.errors import InputError

FILE = "questions.jsonl"

Split = Literal["dev", "test"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question as a developer would type it, and the ids of the passages that answer it.

    ``relevant`` maps ids to grades: 3 answers the question, 2 answers most of it or says where the answer is, 1 is
    about a neighbouring matter that helps. Everything else counts as not relevant.
    """

    id: str
    split: Split
    question: str
    relevant: Mapping[str, int]


def load_questions(split: Split | None = None) -> list[Question]:
    """The questions of one half, or all of them, in the order of the file.

    ``dev`` is for choosing settings, ``test`` for reporting; a question's half was drawn at random once. Every passage
    exists in the corpora of Python 3.11, 3.12 and 3.13 as read on Linux; see ``absent_passages`` for others. Raises
    ``InputError`` for another ``split``.
    """
    if split not in (None, "dev", "test"):
        raise InputError(f"split: {split!r} is not a half of the questions; give 'dev', 'test' or None for both")
    lines = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8").splitlines()
    questions = [Question(**json.loads(line)) for line in lines]
    return [question for question in questions if split is None or question.split == split]


def absent_passages(questions: Iterable[Question], ids: Iterable[str]) -> list[tuple[str, str]]:
    """(question id, passage id) for each labelled passage that is not among ``ids``, the ids of a corpus.

    Another Python may lack a module or have moved a function. Recall counts an absent passage as not found; whoever
    reports a measure says how many there are.
    """
    known = set(ids)
    return [(question.id, passage) for question in questions for passage in question.relevant if passage not in known]
