"""Check what the built wheel and sdist of cascaderank hold: all that is needed, and nothing else."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

NEEDED_IN_WHEEL = ("_core.pyi", "py.typed", "demo/questions.jsonl", "cli/main.py", "stages/cross_encoder.py")
NEEDED_IN_WHEEL += ("serve/app.py", "serve/try.html", "serve/docs.html")
NEEDED_IN_SDIST = ("CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml", "csrc/pool.cpp", "csrc/bind/module.cpp")
FOREIGN = ("/tests/", "/bench/", "/models/", "/.ci/", "__pycache__", ".onnx", ".a")


def check(name: str, held: list[str], needed: list[str], limit: int, size: int) -> None:
    missing = [path for path in needed if path not in held]
    foreign = [
        path for path in held if any(part in f"/{path}" if part != ".a" else path.endswith(part) for part in FOREIGN)
    ]
    if missing or foreign or size > limit:
        sys.exit(f"{name}: missing {missing}, should not hold {foreign}, {size} bytes of at most {limit}")
    print(f"{name}: {len(held)} files, {size} bytes")


def main(folder: Path) -> None:
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    held = zipfile.ZipFile(wheel).namelist()
    extension = [name for name in held if name.startswith("cascaderank/_core.") and name.endswith((".so", ".pyd"))]
    if len(extension) != 1:
        sys.exit(f"{wheel.name}: {len(extension)} extension modules, expected one")
    check(wheel.name, held, [f"cascaderank/{name}" for name in NEEDED_IN_WHEEL], 3 << 20, wheel.stat().st_size)
    with tarfile.open(sdist) as archive:
        held = [name.partition("/")[2] for name in archive.getnames() if "/" in name]
    check(sdist.name, held, list(NEEDED_IN_SDIST), 1 << 20, sdist.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
