"""``cascaderank rank``: files and pipes in, tables and JSON lines out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from calibrated import add_calibration
from cascaderank import Cascade
from cascaderank.cli.main import main
from decoder_graph import make_decoder
from tiny import make_cross_encoder

ROWS = [
    {"id": "a", "text": "green fish", "score": 3.0, "url": "u/a"},
    {"id": "b", "text": "red cat dog", "score": 2.0, "rank": 9},
    {"id": "c", "text": "red cat", "score": 1.0},
]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    path = tmp_path / "docs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


def rank(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[list[dict[str, object]], str]:
    assert main(["rank", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    return [json.loads(line) for line in captured.out.splitlines()], captured.err


def test_json_lines_keep_what_they_came_with(
    docs: Path, cascade_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, err = rank(capsys, "red cat dog", docs, "--cascade", cascade_file)
    assert [row["id"] for row in rows] == ["b", "c", "a"]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert [row["score"] for row in rows[:2]] == [3.0, 2.0]  # ce counts equal words
    assert rows[0]["scores"] == {"bi": pytest.approx(rows[0]["scores"]["bi"]), "ce": 3.0}  # type: ignore[index]
    assert rows[0]["first_score"] == 2.0
    assert (rows[2]["url"], rows[2]["text"]) == ("u/a", "green fish")
    assert err == ""


def test_result_is_that_of_the_library(docs: Path, cascade_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, _ = rank(capsys, "red cat", docs, "--cascade", cascade_file)
    with Cascade.load(cascade_file) as cascade:
        ranking = cascade.rank("red cat", ROWS)
    assert [(row["id"], row["score"], row["stage"]) for row in rows] == [
        (hit.id, hit.score, hit.stage) for hit in ranking
    ]


def test_pipe_of_plain_lines(program, cascade_file: Path) -> None:
    done = program("rank", "red cat", "--cascade", cascade_file, "--top", "1", text="green fish\n\nred cat\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "rank": 1,
        "id": "3",
        "score": 2.0,
        "stage": "ce",
        "scores": {"bi": pytest.approx(1.0), "ce": 2.0},
        "text": "red cat",
    }


def test_table_when_asked_for(docs: Path, cascade_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", "red cat dog", str(docs), "--cascade", str(cascade_file), "--format", "table"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rank", "score", "stage", "id", "text"]
    assert lines[1].split() == ["1", "3.000", "ce", "b", "red", "cat", "dog"]
    assert "\x1b" not in "".join(lines)  # no colours where nobody watches


def test_text_is_shown_as_it_is(tmp_path: Path, cascade_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "d").write_text("red [bold]cat[/bold] :smile: [/x]\n", encoding="utf-8")
    assert main(["rank", "red", str(tmp_path / "d"), "--cascade", str(cascade_file), "--format", "table"]) == 0
    assert "red [bold]cat[/bold] :smile: [/x]" in capsys.readouterr().out


def test_explain_prints_the_trace_on_stderr(docs: Path, cascade_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, err = rank(capsys, "red cat", docs, "--cascade", cascade_file, "--explain")
    assert len(rows) == 3
    assert "outside session.run" in err
    assert "encoded 3 documents without stored vectors" in err


def test_store_spares_the_encoding(
    docs: Path, cascade_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Cascade.load(cascade_file) as cascade:
        cascade.encode(ROWS).save(tmp_path / "store")
    plain, _ = rank(capsys, "red cat", docs, "--cascade", cascade_file)
    rows, err = rank(capsys, "red cat", docs, "--cascade", cascade_file, "--store", tmp_path / "store", "--explain")
    assert [row["id"] for row in rows] == [row["id"] for row in plain]
    assert "encoded" not in err


def test_deadline_that_cannot_be_met_is_said(
    docs: Path, cascade_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, err = rank(capsys, "red cat", docs, "--cascade", cascade_file, "--deadline-ms", "0.001")
    assert [row["id"] for row in rows] == ["a", "b", "c"]  # the first pass's order
    assert "cascaderank: degraded: deadline" in err


def test_no_documents_is_no_error(program, cascade_file: Path) -> None:
    done = program("rank", "red", "--cascade", cascade_file, text="\n\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "cascaderank: no documents; nothing to rank\n"


@pytest.mark.parametrize("query", ["", "  ", "red " * 40])
def test_query_that_cannot_be_used(
    query: str, docs: Path, cascade_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rank", query, str(docs), "--cascade", str(cascade_file)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cascaderank: error: query: ")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_any_output_encoding_gives_json(
    encoding: str, program, cascade_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field beside the text may hold anything JSON can: here a lone surrogate."""
    monkeypatch.setenv("PYTHONIOENCODING", f"{encoding}:strict")
    done = program(
        "rank", "cat", "--cascade", cascade_file, text='{"text": "red \\u00e9", "title": "\\ud800 \\u732b"}\n'
    )
    assert (done.returncode, done.stderr) == (0, "")
    row = json.loads(done.stdout.encode("latin-1").decode(encoding) if encoding != "utf-8" else done.stdout)
    assert (row["text"], row["title"]) == ("red \u00e9", "\ud800 \u732b")


def test_probabilities_are_shown_where_there_are_some(
    docs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_calibration(make_cross_encoder(tmp_path / "ce"), a=1.0, b=-2.0)
    cascade = tmp_path / "c.toml"
    cascade.write_text('[[stage]]\nmodel = "ce"\nkeep = 3\n', encoding="utf-8")
    arguments = ["rank", "red cat dog", str(docs), "--cascade", str(cascade), "--top", "1"]
    assert main([*arguments, "--format", "table"]) == 0
    table = capsys.readouterr().out
    assert "probability" in table
    assert "0.731" in table  # three equal words: the sigmoid of 3 - 2
    assert main([*arguments, "--format", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["probability"] == pytest.approx(0.7310586)


def test_table_on_a_poor_terminal(program, cascade_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii:strict")
    done = program("rank", "cat", "--cascade", cascade_file, "--format", "table", text='{"text": "red \\u732b"}\n')
    assert (done.returncode, done.stderr) == (0, "")
    assert "red \\u732b" in done.stdout


def test_an_instruction_reaches_decoder_stages(
    docs: Path, cascade_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_decoder(tmp_path / "asked", input__instruction_prefix="one $instruction ", input__instruction="two")
    file = tmp_path / "asked.toml"
    file.write_text('[[stage]]\nmodel = "asked"\nkeep = 9\n', encoding="utf-8")
    own, _ = rank(capsys, "red", docs, "--cascade", file)
    said, _ = rank(capsys, "red", docs, "--cascade", file, "--instruction", "fish")
    assert own[0]["score"] != said[0]["score"]
    assert main(["rank", "red", str(docs), "--cascade", str(cascade_file), "--instruction", "fish"]) == 1
    assert "only decoders do" in capsys.readouterr().err
