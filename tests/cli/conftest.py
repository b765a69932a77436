"""A two-stage cascade of synthetic models, a folder in BEIR's layout, and a way to start the program as users do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cascade_file(models: Path) -> Path:
    """bi keeps 4, ce (counts equal words) keeps 2 and alone decides the order."""
    file = models / "cascade.toml"
    file.write_text('[[stage]]\nmodel = "bi"\nkeep = 4\n[[stage]]\nmodel = "ce"\nkeep = 2\n', encoding="utf-8")
    return file


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def program() -> Program:
    """Runs ``cascaderank`` in a process of its own, away from the repository."""

    def run(*arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cascaderank.cli", *map(str, arguments)]
        return subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ)
        )

    return run


@pytest.fixture(scope="session")
def beir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six documents, three judged queries. BM25 puts a short wrong document first for q1."""
    folder = tmp_path_factory.mktemp("beir")
    corpus = {
        "d1": "red",
        "d2": "red cat dog fish one two three",
        "d3": "green fish",
        "d4": "blue dog",
        "d5": "two three",
        "d6": "green blue one two three passage",
    }
    queries = {"q1": "red cat dog", "q2": "green fish", "q3": "blue dog"}
    qrels = {"q1": {"d2": 2, "d4": 0}, "q2": {"d3": 1}, "q3": {"d4": 1, "d2": 1}}
    _write(folder / "corpus.jsonl", [{"_id": name, "title": "", "text": text} for name, text in corpus.items()])
    _write(folder / "queries.jsonl", [{"_id": name, "text": text} for name, text in queries.items()])
    lines = ["query-id\tcorpus-id\tscore"]
    lines += [f"{query}\t{name}\t{grade}" for query, grades in qrels.items() for name, grade in grades.items()]
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
