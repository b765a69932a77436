"""What importing and ranking load, and what an import without ONNX Runtime says; each in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = [
    "torch",
    "transformers",
    "optimum",
    "onnx",
    "sentence_transformers",
    "rich",
    "bm25s",
    "Stemmer",
    "matplotlib",
    "tomli_w",
    "huggingface_hub.hf_api",
    "pandas",
    "scipy",
    "sklearn",
    "starlette",
    "uvicorn",
    "msgspec",
    "prometheus_client",
    "opentelemetry",
]


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


LOADED = """
import sys
import cascaderank
after_import = set(sys.modules)
from cascaderank import Cascade, Document, Stage
folder, wanted = sys.argv[1], set(sys.argv[2:])
with Cascade([Stage(folder + "/bi", keep=2), Stage(folder + "/ce", keep=1)], fusion="convex") as cascade:
    documents = [Document("a", "red cat"), Document("b", "dog"), Document("c", "cat")]
    store = cascade.encode(documents)
    cascade.rank("red", documents)
    ranking = cascade.rank("red", ids=["a", "b"], store=store, deadline_ms=1000)
    ranking.trace.table()
print(sorted(wanted & after_import), sorted(wanted & set(sys.modules)))
"""


def test_nothing_heavy_is_imported_by_import_or_rank(models: Path) -> None:
    found = run(LOADED, str(models), *HEAVY)
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip() == "[] []"
    assert found.stderr == ""


def test_the_list_above_would_notice(models: Path) -> None:
    """The same interpreter does know such a module once something imports it."""
    found = run("import onnx\n" + LOADED, str(models), *HEAVY)
    assert found.stdout.strip() == "['onnx'] ['onnx']"


BLOCKED = """
import sys
finders = sys.meta_path[:]
# The finders never see the name, as if the package were not installed.
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == sys.argv[1]:
            return None
        for finder in finders:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None
sys.meta_path[:] = [Absent()]
import cascaderank
"""


def test_an_import_without_onnx_runtime_says_which_extra(models: Path) -> None:
    found = run(BLOCKED, "onnxruntime")
    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "cascaderank[cpu]" in last
    assert "cascaderank[gpu]" in last


def test_an_import_with_a_blocked_stranger_works() -> None:
    """The blocking itself does not break the import."""
    assert run(BLOCKED, "torch").returncode == 0


def test_an_import_without_the_extension_says_how_to_build_it(tmp_path: Path) -> None:
    """A source folder that was never built: the Python files alone."""
    import cascaderank

    source = Path(cascaderank.__file__).parent
    copy = tmp_path / "cascaderank"
    for file in source.rglob("*.py"):
        target = copy / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    # Without site, so that no editable install comes before the copy.
    code = f"import sys; sys.path[:] = {[str(tmp_path), *sys.path]!r}; import cascaderank"
    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 1
    assert "cascaderank._core" in found.stderr
    assert "pip install ." in found.stderr


def test_every_public_name_is_there() -> None:
    import cascaderank

    assert cascaderank.__all__ == sorted(cascaderank.__all__)
    for name in cascaderank.__all__:
        assert getattr(cascaderank, name).__doc__, name
    assert cascaderank.__version__


def test_the_package_says_it_is_typed() -> None:
    import cascaderank

    folder = Path(cascaderank.__file__).parent
    assert (folder / "py.typed").is_file()
    assert (folder / "_core.pyi").is_file()
