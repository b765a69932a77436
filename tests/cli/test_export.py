"""``cascaderank export``: the arguments reach the exporter, and its refusals come back as one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascaderank.cli.main import main


def test_what_is_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "not-a-model").mkdir()
    assert main(["export", str(tmp_path / "not-a-model"), str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("cascaderank: error: ")
    assert not (tmp_path / "out").exists()


def test_target_that_holds_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keep-me").write_text("x", encoding="utf-8")
    assert main(["export", "any", str(tmp_path), "--precision", "int8"]) == 1
    assert "not an empty folder" in capsys.readouterr().err
    assert (tmp_path / "keep-me").read_text(encoding="utf-8") == "x"


def test_arguments_reach_the_exporter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exporter's own rule for --data is what refuses this."""
    assert main(["export", "any", str(tmp_path / "out"), "--data", str(tmp_path)]) == 1
    assert "costs; choose one, such as int8" in capsys.readouterr().err


def test_a_model_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("torch", "transformers", "optimum", "onnx"):
        pytest.importorskip(name, reason="making models needs the export extra")
    from export import tiny_hf

    source, out = tmp_path / "source", tmp_path / "out"
    tiny_hf.save_cross_encoder(source, *tiny_hf.bert())
    arguments = ["export", str(source), str(out), "--max-length", "40", "--score", "none", "--licence", "Apache-2.0"]
    assert main([*arguments, "--name", "tiny"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{out}: cross_encoder 'tiny' (BERT), fp32, max_length 40")
    assert "pairs beside torch" in captured.out
    assert "comparing with torch" in captured.err  # a line per step off a terminal

    assert main(["check", str(out), "--against", str(source)]) == 0
    shown = capsys.readouterr().out
    assert "licence Apache-2.0" in shown
    assert "parity now: " in shown
