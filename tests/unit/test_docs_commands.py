"""Every command that the documents show is one the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cascaderank.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    [ROOT / "README.md", ROOT / "bench" / "README.md", ROOT / "models" / "README.md", *ROOT.glob("docs/*.md")]
)


def shown(file: Path) -> list[str]:
    """``$ cascaderank ...`` lines, those that go on after a backslash whole; what a shell adds behind is left out."""
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"^\$ (?:.*&& )?(cascaderank .*)$", text, flags=re.MULTILINE)
    return [re.split(r" [|&>#]", line)[0] for line in lines]


COMMANDS = [pytest.param(line, id=f"{file.name}: {line}") for file in FILES for line in shown(file)]


def test_there_are_commands_to_look_at() -> None:
    assert len(COMMANDS) > 20


@pytest.mark.parametrize("line", COMMANDS)
def test_a_shown_command_is_taken(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        build_parser().parse_args(shlex.split(line)[1:])
    except SystemExit as stop:
        pytest.fail(f"exit {stop.code}: {capsys.readouterr().err}")
