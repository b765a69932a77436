"""What the README shows is what happens: its Python blocks run, its cascade file is read, its commands exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cascaderank.cli.main import main
from cascaderank.config import parse_config
from cascaderank.model import installed_models

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.skipif("minilm-bi" not in installed_models(), reason="needs the shipped models: pip install ./models")
def test_the_python_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(block, names)
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "1 exit minilm-ce-large"
    assert "outside session.run" in printed
    names["cascade"].close()


def test_the_cascade_file_is_read() -> None:
    (block,) = blocks("toml")
    config = parse_config(tomllib.loads(block), "README.md")
    assert [stage.keep for stage in config.stages] == [100, 20, 5]
    assert config.stages[2].provider == "cuda"


@pytest.mark.parametrize("command", re.findall(r"^\| `cascaderank (\w+)", README, flags=re.MULTILINE))
def test_the_commands_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"cascaderank {command}" in capsys.readouterr().out
