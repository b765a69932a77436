"""Tests that make models need the export extra; where it is not installed test_extra.py says so, once."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("torch", "transformers", "optimum", "onnx")
MISSING = tuple(name for name in NEEDED if find_spec(name) is None)

if MISSING:
    collect_ignore = ["test_families.py", "test_modules.py", "test_gate.py", "test_int8.py", "test_folder.py"]
    collect_ignore += ["test_golden.py", "test_embedders.py", "test_late.py", "test_errors.py", "test_decoders.py"]
    collect_ignore += ["test_golden.py", "test_half.py", "test_blocks.py", "test_precisions.py", "test_loss.py"]
    collect_ignore += ["test_static.py"]
