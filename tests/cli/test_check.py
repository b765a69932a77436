"""``cascaderank check``: what is sound, what is not, and why."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cascaderank.cli.main import main
from tiny import make_cross_encoder


def test_sound_folders_and_files(models: Path, cascade_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *(str(models / name) for name in ("ce", "ce2", "bi", "late")), str(cascade_file)]) == 0
    captured = capsys.readouterr()
    assert captured.out.count(": OK\n") == 5
    assert "cross_encoder 'ce', fp32, max_length 32, score 'none'" in captured.out
    assert "bi_encoder 'bi', fp32, max_length 32, 8 dimensions" in captured.out
    assert "licence Apache-2.0" in captured.out
    assert "states no parity" in captured.out
    assert "2 stages, fusion 'last'" in captured.out
    assert captured.out.count("tokenizer: native WordPiece") == 6
    assert captured.err == ""


def test_parity_of_the_manifest_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parity = {"parity__reference": "torch 2 fp32", "parity__pairs": 64, "parity__max_abs_diff": 1.5e-6}
    make_cross_encoder(tmp_path / "ce", **parity)
    assert main(["check", str(tmp_path / "ce")]) == 0
    assert "parity with torch 2 fp32 when made: max |diff| 1.5e-06 over 64 pairs" in capsys.readouterr().out


def test_damaged_file_is_named_and_the_others_are_still_checked(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ce"
    shutil.copytree(models / "ce", folder)
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-10])
    assert main(["check", str(folder), str(models / "bi")]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{folder}: FAILED\n{models / 'bi'}: OK\n")
    assert captured.err.startswith(f"cascaderank: error: {folder / 'model.onnx'}: sha256")


@pytest.mark.parametrize("name", ["no-such-model", "empty", "missing.toml"])
def test_what_is_not_a_model(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path / name)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("cascaderank: error: ")
    assert name in captured.err


def test_scores_that_are_no_numbers_fail_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The graph divides 0 by 0 for a document with the word 'two', which the smoke documents contain."""
    make_cross_encoder(tmp_path / "nan", graph={"nan_word": "two"})
    assert main(["check", str(tmp_path / "nan")]) == 1
    assert "not a finite number" in capsys.readouterr().err
