"""The command line with the models that ship, on a handful of texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cascaderank.cli.main import main
from cascaderank.model import installed_models

SHIPPED = ("minilm-bi", "minilm-ce-small", "minilm-ce-large")
pytestmark = pytest.mark.skipif(
    not set(SHIPPED) <= set(installed_models()), reason="cascaderank-models is not installed: pip install ./models"
)


def test_each_is_sound_and_prefers_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *SHIPPED]) == 0
    out = capsys.readouterr().out
    assert out.count(": OK\n") == 3
    assert out.count("licence ") == 3
    assert "states no parity" not in out
    assert "the answer is not first" not in out
    assert out.count("golden scores: 14 pairs met") == 3


def test_rank_with_the_default_cascade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [
        "Preheat the oven and grease a round tin before mixing the batter.",
        "The heart pumps blood through the body, about seventy beats a minute at rest.",
        "Canberra is the capital city of Australia.",
        "Sydney is the largest city of Australia, known for its harbour.",
    ]
    (tmp_path / "docs").write_text("\n".join(texts) + "\n", encoding="utf-8")
    assert main(["rank", "what is the capital of Australia", str(tmp_path / "docs")]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["id"] for row in rows[:2]] == ["3", "4"]
    assert list(rows[0]["scores"]) == list(SHIPPED)
