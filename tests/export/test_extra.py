"""The export extra: what is missing without it, and that nothing of it is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from cascaderank.errors import MissingExtraError
from cascaderank.export.extras import require

NEEDED = ("torch", "transformers", "optimum", "onnx")
MISSING = [name for name in NEEDED if find_spec(name) is None]


def test_the_export_extra_is_installed() -> None:
    if MISSING:
        pytest.skip(f"tests/export needs {', '.join(MISSING)}: pip install '.[export]' runs the export tests too")


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"no_such_package.*cascaderank\[export\]"):
        require("no_such_package.part")


def test_importing_the_package_imports_none_of_it() -> None:
    code = "import sys, cascaderank.export; print([name for name in sys.argv[1:] if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code, *NEEDED], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
