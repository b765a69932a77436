"""The recipes' modules, imported as their commands import them: from their own folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "models" / "recipes"
# Only what needs no torch: the tests' extra has none.
NAMES = (
    "clusters", "collect_grades", "exporting.static_graph", "exporting.tables", "measuring.bootstrap",
    "measuring.manifests", "measuring.measured", "measuring.measures", "measuring.report", "measuring.scoring",
    "measuring.sets", "measuring.systems", "texts.lists", "texts.pairs", "texts.passages", "training.mining",
)  # fmt: skip


@pytest.fixture(scope="session")
def recipes() -> Iterator[SimpleNamespace]:
    before = set(sys.modules)
    sys.path.insert(0, str(RECIPES))
    try:
        yield SimpleNamespace(**{name.rpartition(".")[2]: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(str(RECIPES))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(RECIPES)):
                del sys.modules[name]
