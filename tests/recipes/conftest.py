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
    "bootstrap", "clusters", "collect_grades", "lists", "measured", "measured_sets", "measures", "mining", "passages",
    "quality_manifests", "quality_systems", "quality_tables", "scoring", "static_graph", "tables",
)  # fmt: skip


@pytest.fixture(scope="session")
def recipes() -> Iterator[SimpleNamespace]:
    before = set(sys.modules)
    sys.path.insert(0, str(RECIPES))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(str(RECIPES))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(RECIPES)):
                del sys.modules[name]
