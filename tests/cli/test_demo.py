"""The demo from end to end: the real corpus, synthetic models (every word outside their vocabulary is [UNK])."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cascaderank import Cascade, Document
from cascaderank.cli.demo import QUESTIONS
from cascaderank.cli.main import main
from cascaderank.demo.search import Answer, Climb, Search, climbs
from cascaderank.evaluate.quality import stage_orders
from cascaderank.evaluate.variants import last_alone

QUESTION = "run a function when the program exits"
RANK_LINE = re.compile(r"^ *(\d+)\. (\S+) +score (-?[\d.]+) +BM25 rank (\d+) → (\d+) → (\d+)$", re.MULTILINE)


def demo(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["demo", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_one_question(cascade_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = demo(capsys, QUESTION, "--cascade", cascade_file, "--top", "3")
    assert re.match(r"Searching \d,\d{3} passages of Python 3\.\d+\.\d+\S* own documentation: BM25, then bi", first)
    assert "computed once and kept in" in first
    assert "1000 by BM25 ─ bi" in first
    rows = RANK_LINE.findall(first)
    assert [row[0] for row in rows] == ["1", "2", "3"]
    assert [row[5] for row in rows] == ["1", "2", "3"]  # the last rank is the place in the answer
    assert all(1 <= int(rank) <= 1000 for row in rows for rank in row[3:])
    assert "bi     1000 → 4  moved " in first
    assert "ce     4 → 2     moved " in first
    assert "outside session.run" in first
    assert "ce on 50 of the 1000 candidates took" in first
    assert "Extrapolated to all 1000 that is" in first
    assert "\x1b" not in first

    second = demo(capsys, QUESTION, "--cascade", cascade_file, "--top", "3")
    assert "read from" in second
    assert RANK_LINE.findall(second) == rows


def test_without_a_question_and_off_a_terminal(cascade_file: Path, program) -> None:
    done = program("demo", "--cascade", cascade_file, text="never read\n")
    assert done.returncode == 0
    for question in QUESTIONS:
        assert f"\n{question} ──" in done.stdout
    assert "never read" not in done.stdout
    assert "Traceback" not in done.stderr


def test_interactive_from_a_pipe(cascade_file: Path, program) -> None:
    text = "red cat\n" + "cat " * 60 + "\nblue dog\n\nafter the end\n"
    done = program("demo", "--interactive", "--cascade", cascade_file, text=text)
    assert done.returncode == 0
    assert [question for question in ("red cat", "blue dog", "after the end") if f"\n{question} ──" in done.stdout] == [
        "red cat",
        "blue dog",
    ]
    errors = [line for line in done.stderr.splitlines() if line.startswith("cascaderank: error:")]
    assert len(errors) == 1
    assert "60 tokens" in errors[0]


def test_empty_question_is_refused_before_any_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "  "]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cascaderank: error: query: empty")


def test_search_over_a_small_corpus(cascade_file: Path) -> None:
    texts = {"a": "red", "b": "red cat", "c": "red cat dog fish one", "d": "green", "e": "blue fish"}
    documents = [Document(name, f"{name}()\n{text}") for name, text in texts.items()]
    with Cascade.load(cascade_file) as cascade, Cascade(last_alone(cascade.config)) as alone:
        search = Search(documents, cascade.encode(documents))
        first = search.first_pass("red cat dog fish")
        ranking = first.rank_by(cascade, search.store, top_n=2)
        with stage_orders(cascade) as orders:
            before = orders.find(first.ids, lambda variant: first.rank_by(variant, search.store))
        answers = search.answers(first, ranking, before)
        assert (answers[0].document.id, answers[0].score) == ("c", 4.0)  # four equal words
        assert len(answers) == 2
        assert answers[0].body == "red cat dog fish one"
        for place, answer in enumerate(answers, start=1):
            assert answer.ranks == (
                first.ids.index(answer.document.id) + 1,
                before[0].index(answer.document.id) + 1,
                place,
            )
        assert alone.names == ("ce",)
        found = search.time_alternative(first, alone, sample=2)
        assert (found.model, found.sample, found.candidates) == ("ce", 2, 5)
        assert found.extrapolated_ms == pytest.approx(found.sample_ms * 2.5)


def test_climbs_are_counted_per_stage() -> None:
    answers = [
        Answer(Document("a", "a"), 1.0, (40, 7, 1)),
        Answer(Document("b", "b"), 0.5, (3, 9, 2)),
        Answer(Document("c", "c"), None, (2, 2, 3)),
    ]
    assert climbs(answers, ["bi", "ce"]) == [Climb("bi", 1, "a", 40, 7), Climb("ce", 2, "b", 9, 2)]
