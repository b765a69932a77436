"""A two-stage cascade of synthetic models, served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cascaderank.serve import Settings
from serving import Program, program


@pytest.fixture(scope="session")
def file(models: Path) -> Path:
    """bi keeps 4, ce (counts equal words) keeps 2 and alone decides the order."""
    path = models / "served.toml"
    path.write_text('[[stage]]\nmodel = "bi"\nkeep = 4\n[[stage]]\nmodel = "ce"\nkeep = 2\n', encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def settings(file: Path) -> Settings:
    return Settings(cascades={"tiny": file}, watch_s=0.0)


@pytest.fixture(scope="session")
def slow_settings(slow: Path) -> Settings:
    """One stage of some milliseconds a document, in one worker."""
    path = slow.parent / "slow.toml"
    stage = f'[[stage]]\nmodel = "{slow}"\nkeep = 100\nmax_rows = 1\n'
    path.write_text(f"[cascade]\nworkers = 1\n{stage}", encoding="utf-8")
    return Settings(cascades={"slow": path}, watch_s=0.0)


@pytest.fixture(scope="session")
def server(file: Path) -> Iterator[Program]:
    """The real program, for tests that change nothing of it."""
    with program(f"tiny={file}", "--body-timeout-s", "1", "--watch-s", "0") as served:
        yield served
