"""Runs, judgements and queries from files, well-formed and not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascaderank.errors import InputError
from cascaderank.evaluate import BeirData
from cascaderank.evaluate.candidates import requests_from_run, require_candidates
from cascaderank.evaluate.trec import read_judged, read_run


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_equal_scores_keep_the_rank_that_is_written(tmp_path: Path) -> None:
    """Not the file's order, and not the names', which trec_eval would take."""
    run = write(tmp_path / "run", "q Q0 c 2 1.0 t", "q Q0 a 3 1.0 t", "q Q0 b 1 1.0 t", "q Q0 z 9 5.0 t")
    assert [name for name, _ in read_run(run)["q"]] == ["z", "b", "c", "a"]


def test_a_table_with_a_header_is_a_run_too(tmp_path: Path) -> None:
    run = write(tmp_path / "run.tsv", "query-id\tcorpus-id\trank\tscore", "q\ta b\t1\t2.5", "q\tc\t2\t1.5")
    assert read_run(run) == {"q": [("a b", 2.5), ("c", 1.5)]}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["q Q0 a 1 2.0 t", "q Q0 a 2 1.0 t"], r"run:2: document 'a' of query 'q' repeats line 1"),
        (["q Q0 a 1 2.0 t", "q a"], r"run:2: 2 columns; expected query, Q0, document"),
        (["q Q0 a 1 2.0 t", "q Q0 b first 1.0 t"], r"run:2: rank 'first' and score '1.0'"),
        (["q Q0 a 1 nan t"], r"run:1: score nan is not finite"),
        ([""], r"run: no line"),
    ],
)
def test_a_wrong_run_is_refused_by_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_run(write(tmp_path / "run", *lines))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    corpus = write(tmp_path / "corpus.jsonl", '{"_id": "a", "text": "one"}', '{"_id": "b", "text": "two"}')
    return corpus, write(tmp_path / "queries.tsv", "q\tfirst question", "r\tsecond")


def test_judgements_of_trec(tmp_path: Path, files: tuple[Path, Path]) -> None:
    data = read_judged(*files, write(tmp_path / "qrels", "q 0 a 2", "q 0 b 0", "r 0 a 0"))
    assert data == BeirData({"a": "one", "b": "two"}, {"q": "first question"}, {"q": {"a": 2, "b": 0}})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q 0 nobody 1", r"qrels:2: document 'nobody' is judged but not in the collection"),
        ("nobody 0 a 1", r"qrels:2: query 'nobody' is judged but not in the collection"),
        ("q 0 a much", r"qrels:2: grade 'much' is not an integer"),
        ("q a", r"qrels:2: 2 columns"),
        ("q 0 a 2", r"qrels:2: document 'a' of query 'q' has grade 2, but 1 in line 1; keep one"),
    ],
)
def test_wrong_judgements_are_refused_by_line(
    tmp_path: Path, files: tuple[Path, Path], line: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_judged(*files, write(tmp_path / "qrels", "q 0 a 1", line))


def test_repeats_of_trec(tmp_path: Path, files: tuple[Path, Path]) -> None:
    """The same judgement twice says nothing new; the same query twice does not say which text is meant."""
    qrels = write(tmp_path / "qrels", "q 0 a 2", "q 0 a 2")
    assert read_judged(*files, qrels).qrels == {"q": {"a": 2}}
    with pytest.raises(InputError, match=r"queries.tsv:3: _id 'q' repeats line 1"):
        read_judged(files[0], write(files[1], "q\tfirst", "r\tsecond", "q\tthird"), qrels)


def test_candidates_of_a_run() -> None:
    data = BeirData({"a": "one", "b": "two"}, {"q": "first", "r": "second"}, {"q": {"a": 1}, "r": {"b": 1}})
    found = requests_from_run(data, {"q": [("b", 2.0), ("a", 1.0)], "unjudged": [("a", 1.0)]}, 1)
    assert [(request.query_id, request.ids, request.scores) for request in found] == [
        ("q", ("b",), (2.0,)),
        ("r", (), ()),  # it counts, with nothing found
    ]
    with pytest.raises(InputError, match=r"document 'x' of query 'q' is not in the corpus"):
        requests_from_run(data, {"q": [("x", 1.0)]}, 5)
    with pytest.raises(InputError, match="no judged query"):
        requests_from_run(data, {"other": [("a", 1.0)]}, 5)


def test_a_query_without_candidates_is_named() -> None:
    data = BeirData({"a": "text"}, {"q": "x", "r": "y"}, {"q": {"a": 1}, "r": {"a": 1}})
    with pytest.raises(InputError, match="no candidates for 1 of 2 judged queries, 'r'"):
        require_candidates(requests_from_run(data, {"q": [("a", 1.0)]}, 5))
    require_candidates(requests_from_run(data, {"q": [("a", 1.0)], "r": [("a", 1.0)]}, 5))
