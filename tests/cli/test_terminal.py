"""What a person at a terminal gets: a table, bars, colours unless NO_COLOR is set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cascaderank.cli.terminal import milliseconds

pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")


def on_a_terminal(arguments: list[str], typed: str = "", **environment: str) -> str:
    """Everything the program shows on a terminal of 100 columns where ``typed`` was typed."""
    ours, theirs = pty.openpty()
    settings = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    command = [sys.executable, "-m", "cascaderank.cli", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=settings)
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # Linux's way of telling that the other side is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return shown.decode()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").write_text("green fish\nred cat\n", encoding="utf-8")
    return tmp_path / "docs"


def test_rank_shows_a_table(docs: Path, cascade_file: Path) -> None:
    shown = on_a_terminal(["rank", "red cat", str(docs), "--cascade", str(cascade_file)])
    assert "rank" in shown
    assert '{"rank"' not in shown
    assert "red cat" in shown
    assert "\x1b[1m" in shown  # the table's head is bold


def test_demo_asks_on_with_bars_and_colours(cascade_file: Path) -> None:
    typed = "run a function at the end\n\n"
    shown = on_a_terminal(["demo", "--interactive", "--no-cache", "--cascade", str(cascade_file)], typed)
    assert "computing the passages' vectors, once" in shown
    assert "━" in shown
    assert "ask (empty line ends): " in shown
    assert "Extrapolated to all 1000" in shown
    assert "\x1b[1;36m" in shown  # an answer's name


def test_no_color_is_respected(docs: Path, cascade_file: Path) -> None:
    arguments = ["rank", "red cat", str(docs), "--cascade", str(cascade_file)]
    shown = on_a_terminal(arguments, NO_COLOR="1")
    assert "red cat" in shown
    assert "\x1b[3" not in shown


def test_documents_are_never_awaited_from_a_keyboard(cascade_file: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "cascaderank.cli", "rank", "red", "--cascade", str(cascade_file)],
        stdin=theirs, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert "no documents: give FILE, or pipe them in" in done.stderr


def test_times_are_written_for_people() -> None:
    assert [milliseconds(value) for value in (0.04, 9.96, 10.4, 999.0, 1500.0)] == [
        "0.0 ms",
        "10.0 ms",
        "10 ms",
        "999 ms",
        "1.5 s",
    ]
