"""Exit codes, one line for an error, and what happens when the reader or the user goes away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cascaderank.cli.main import main

COMMANDS = ("demo", "rank", "check", "export", "bench", "tune")


def test_version_names_engine_and_runtime(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.match(r"cascaderank \d+\.\d+\.\d+ \(onnxruntime", capsys.readouterr().out)


def test_no_command_is_a_usage_error_that_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "cascaderank demo" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_by_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"examples:\n  cascaderank {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["fly"], ["rank"], ["rank", "q", "f", "--top", "0"], ["rank", "q", "f", "--deadline-ms", "nan"], ["rank", "--to"]],
)
def test_usage_errors_are_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "usage: cascaderank" in capsys.readouterr().err


def test_wrong_input_is_1_and_one_line(program, cascade_file: Path) -> None:
    done = program("rank", "cat", "--cascade", cascade_file, text='{"text": "red"}\n{"text": 3}\n')
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "cascaderank: error: stdin:2: text: expected a string, got int; pass the text itself\n"


def test_missing_file_is_1_and_one_line(program, cascade_file: Path) -> None:
    done = program("rank", "cat", "no/such/file", "--cascade", cascade_file)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "cascaderank: error: no/such/file: No such file or directory\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [("keep = 1", "stage"), ("[[stage]]\nmodel='ce'\nkeep=0", "keep"), ("[[stage]]\nmodel='x'\nkeep=1", "'x'")],
)
def test_wrong_cascade_is_1_and_names_it(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    (tmp_path / "docs").write_text("red\n", encoding="utf-8")
    assert main(["rank", "red", str(tmp_path / "docs"), "--cascade", str(tmp_path / "c.toml")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cascaderank: error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_a_reader_that_leaves_is_no_error(cascade_file: Path, tmp_path: Path) -> None:
    """``| head -1``: far more output than a pipe holds, one line read."""
    (tmp_path / "docs").write_text("".join(f"red {'cat ' * 20}{number}\n" for number in range(3000)), encoding="utf-8")
    writer = subprocess.Popen(
        [sys.executable, "-m", "cascaderank.cli", "rank", "red", tmp_path / "docs", "--cascade", cascade_file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    assert writer.stdout.readline().startswith('{"rank": 1')
    writer.stdout.close()
    assert writer.wait(60) == 141
    assert writer.stderr.read() == ""
    writer.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_interrupt_is_130_without_traceback(cascade_file: Path) -> None:
    """Interrupted while it waits for documents."""
    waiting = subprocess.Popen(
        [sys.executable, "-m", "cascaderank.cli", "rank", "red", "--cascade", cascade_file],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert waiting.stdin is not None
    waiting.stdin.write("red\n" * 20_000)  # more than a pipe holds: returns only once the program reads
    waiting.stdin.flush()
    time.sleep(0.2)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out, err) == (130, "", "cascaderank: interrupted\n")
