"""Documents from lines: both forms, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascaderank.cli.documents import Lines, parse_lines, read_lines
from cascaderank.documents import Document
from cascaderank.errors import InputError


def parse(text: str, form: str | None = None) -> Lines:
    return parse_lines(enumerate(text.splitlines(), start=1), "f", form)


def test_plain_lines_have_their_number_as_id() -> None:
    assert parse("red\n\n  \nblue {x}\n").documents == [Document("1", "red"), Document("4", "blue {x}")]


def test_json_lines_with_and_without_id() -> None:
    lines = parse('\n{"text": "red"}\n{"id": 7, "text": "blue"}\n{"id": "x", "text": "", "url": "u"}\n')
    assert lines.documents == [Document("2", "red"), Document("7", "blue"), Document("x", "")]
    assert lines.objects[2]["url"] == "u"


def test_form_is_decided_by_the_first_line_unless_said() -> None:
    assert [document.text for document in parse('red\n{"text": "x"}').documents] == ["red", '{"text": "x"}']
    assert [document.text for document in parse('{"text": "x"}', "lines").documents] == ['{"text": "x"}']
    with pytest.raises(InputError, match="f:1: not JSON"):
        parse("red", "jsonl")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "a"}\nnot json', "f:2: not JSON"),
        ('{"text": "a"}\n[1]', "f:2: expected an object"),
        ('{"id": "a"}', 'f:1: expected an object with "text"'),
        ('{"text": null}', "f:1: text: expected a string, got NoneType"),
        ('{"text": "\\ud800"}', r"f:1: text: lone surrogate U\+D800"),
        ('{"text": "a", "id": 1.5}', "f:1: id is 1.5"),
        ('{"text": "a", "id": true}', "f:1: id is True"),
        ('{"text": "a", "id": "x"}\n\n{"text": "b", "id": "x"}', "f:3: id 'x' repeats line 1"),
        ('{"text": "a", "score": "high"}', "f:1: score is 'high'"),
        ('{"text": "a", "score": NaN}', "f:1: score is nan"),
        ('{"text": "a", "score": 1}\n{"text": "b"}', "f:2: no score, but the first document has one"),
        ('{"text": "a"}\n{"text": "b", "score": 1}', "f:2: a score, but the first document has none"),
        ('{"text": ' + "[" * 100_000, "f:1: not JSON"),
    ],
)
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(text)


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"red\nbl\xffue\n")
    with pytest.raises(InputError, match=r"f:2: not UTF-8 text \(byte 2\)"):
        read_lines(tmp_path / "f", None)


def test_windows_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b'\xef\xbb\xbf{"text": "red"}\r\n{"text": "blue"}\r\n')
    assert [document.text for document in read_lines(tmp_path / "f", None).documents] == ["red", "blue"]
