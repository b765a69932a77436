"""Rules about the sources themselves that no compiler checks: who may know what, and that the core is silent."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = sorted(path for path in (ROOT / "csrc").rglob("*") if path.suffix in (".hpp", ".cpp", ".inl"))
PACKAGE = ROOT / "python" / "cascaderank"
PYTHON = sorted(PACKAGE.rglob("*.py"))


def code(path: Path) -> str:
    """A C++ source without comments and string literals."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)


def imports(path: Path) -> set[str]:
    """Modules a Python file imports anywhere, absolute; ``from a import b`` is both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = ["cascaderank", *path.relative_to(PACKAGE).parts[:-1]]
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def test_no_duration_is_taken_from_a_clock_that_can_be_set() -> None:
    """The time of day says when a log line or a span was; how long something took, and when it is due, is monotonic."""
    wanted = re.compile(r"\btime\.time(?:_ns)?\b|from time import|\bdatetime\b|\bmonotonic_raw\b")
    users = {str(path.relative_to(PACKAGE)) for path in PYTHON if wanted.search(path.read_text(encoding="utf-8"))}
    assert users == {"serve/logs.py", "serve/rerank.py"}


def importers(module: str) -> set[str]:
    return {
        str(path.relative_to(PACKAGE))
        for path in PYTHON
        if any(name == module or name.startswith(f"{module}.") for name in imports(path))
    }


def test_there_is_something_to_check() -> None:
    assert len(CSRC) > 10
    assert len(PYTHON) > 10
    assert importers("numpy")


def test_pybind11_and_python_stay_in_the_bindings() -> None:
    for path in CSRC:
        if path.parent.name != "bind":
            assert not re.search(r"pybind11|Python\.h|\bpy::|\bPy[A-Z_]\w+\(", path.read_text(encoding="utf-8")), path


def test_onnx_runtime_stays_out_of_the_core() -> None:
    for path in CSRC:
        assert not re.search(r"onnxruntime|\bOrt[A-Z:]", code(path)), path


@pytest.mark.parametrize(
    "pattern",
    [r"\bcout\b", r"\bcerr\b", r"\bclog\b", r"<iostream>", r"\bf?printf\b", r"\bputs\b", r"\babort\b", r"\bassert\s*\(",
     r"\bexit\s*\(", r"\bterminate\s*\(", r"\brand\s*\(", r"\bgetenv\b"],
)  # fmt: skip
def test_the_core_neither_prints_nor_ends_the_process(pattern: str) -> None:
    for path in CSRC:
        assert not re.search(pattern, code(path)), path


def test_one_comparator_orders_candidates() -> None:
    definitions = [path.name for path in CSRC if re.search(r"\bbool ranks_before\s*\(", code(path))]
    assert definitions == ["prune.hpp"]
    # Every sort in the core uses it, but for lengths (pack), the integers that stand for it (topk), and what is no
    # candidate: the characters of a text and the entries of a vocabulary.
    others = {"pack.cpp", "bert_normalizer.cpp", "trie.cpp"}
    integers = re.compile(r"^\s*(?:keys|left|sample)\.begin")
    for path in CSRC:
        for call in re.findall(r"std::(?:stable_|partial_)?sort\(([^;]*?);|std::nth_element\(([^;]*?);", code(path)):
            text = "".join(call)
            in_topk = path.name == "prune.cpp" and integers.match(text)
            assert "ranks_before" in text or path.name in others or in_topk, (path, text)


def test_no_mutable_globals_in_the_core() -> None:
    """A static that can change would make one request see another."""
    for path in CSRC:
        for line in code(path).splitlines():
            if re.match(r"\s*(?:static|thread_local)\s+(?!constexpr|const\b)(?!.*\()", line):
                raise AssertionError(f"{path}: {line.strip()}")


def test_no_flags_that_break_wheels_or_nan() -> None:
    for path in (ROOT / "CMakeLists.txt", ROOT / "CMakePresets.json"):
        flags = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8"))
        assert "-march=native" not in flags, path
        assert not re.search(r"-ffast-math|-Ofast|-ffinite-math-only", flags), path


def test_bindings_convert_nothing() -> None:
    """Every array argument is bound with noconvert: named arguments of Array type never appear without it."""
    for path in (ROOT / "csrc" / "bind").glob("*.cpp"):
        assert "forcecast" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    ("module", "home"),
    [
        ("onnxruntime", {"session.py", "providers.py"}),
        ("tokenizers", {"tokenizer.py"}),
        ("cascaderank._core", {"kernels.py"}),
    ],
)
def test_each_of_these_is_known_to_few_modules(module: str, home: set[str]) -> None:
    elsewhere = {name for name in importers(module) - home if not name.startswith("export/")}
    assert importers(module) >= home
    assert elsewhere == set()


@pytest.mark.parametrize("module", ["torch", "transformers", "optimum", "onnx", "safetensors", "huggingface_hub"])
def test_frameworks_make_models_and_run_none(module: str) -> None:
    assert {name for name in importers(module) if not name.startswith("export/")} == set()


@pytest.mark.parametrize(
    "module",
    [
        "cascaderank.arithmetic",
        "cascaderank.export",
        "cascaderank.calibrate",
        "cascaderank.evaluate",
        "cascaderank.tune",
        "cascaderank.demo",
        "cascaderank.serve",
        "cascaderank.cli",
    ],
)
def test_ranking_does_not_know_what_lies_above(module: str) -> None:
    above = ("arithmetic/", "export/", "calibrate/", "evaluate/", "tune/", "demo/", "serve/", "cli/")
    assert {name for name in importers(module) if not name.startswith(above)} == set()


def test_the_package_reads_no_clock_but_one() -> None:
    """Deadlines and traces use one monotonic clock; the wall clock never decides anything."""
    offline = ("export/", "calibrate/", "evaluate/", "tune/", "demo/", "cli/")
    for path in PYTHON:
        if not str(path.relative_to(PACKAGE)).startswith(offline):
            assert not re.search(r"\btime\.time\(|datetime\.now", path.read_text(encoding="utf-8")), path
