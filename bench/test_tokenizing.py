"""The rivals of ``tokenizing.py`` give the same tensors; nothing is timed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizing import contenders_for, texts

from cascaderank.model import installed_models


@pytest.mark.parametrize("name", ["wikiqa", "scifact"])
def test_every_contender_gives_the_same_tensors(name: str, tmp_path: Path) -> None:
    """``contenders_for`` ends the run where they differ; texts are made up, since ``tmp_path`` is empty."""
    file = next(iter(installed_models().values())) / "tokenizer.json"
    query, documents, origin = texts(name, 20, tmp_path, file)
    contenders, tokens = contenders_for(file, query, documents)
    assert origin == "made up"
    assert len(contenders) == 4
    assert tokens > 20 * 5
