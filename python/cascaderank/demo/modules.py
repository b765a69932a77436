"""Imports the public modules of the running Python's standard library, quietly."""

from __future__ import annotations

import contextlib
import importlib
import io
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

LEFT_OUT = frozenset(
    {
        "antigravity",  # opens a web browser
        "this",  # prints
        "rlcompleter",  # changes what the tab key does in this process
        "idlelib",
        "lib2to3",
        "distutils",  # gone since 3.12, and replaced by setuptools where that is installed
        "ensurepip",
        "pydoc_data",  # read on its own, as topics
        "test",
        "tests",
        "tkinter",  # there or not by how Python was built: half of a corpus must not depend on it
        "turtle",
        "turtledemo",
        "posix",  # this and the next four are os and os.path under the names that nobody uses
        "nt",
        "posixpath",
        "ntpath",
        "genericpath",
    }
)
WITHOUT_CHILDREN = frozenset({"encodings"})  # one module per codec, with nothing to read in them


def module_names() -> list[str]:
    """Names of the top-level modules to read: ``builtins`` first, then by name."""
    names = sorted(name for name in sys.stdlib_module_names if not name.startswith("_") and name not in LEFT_OUT)
    names.remove("builtins")
    return ["builtins", *names]


def import_quietly(name: str) -> ModuleType | None:
    """The module, or None where it cannot be imported here (another system's, or not built).

    Whatever the import prints or warns about is swallowed, and no failure of it reaches the caller.
    """
    module = sys.modules.get(name)
    if module is not None:
        return module
    silence = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit):  # noqa: BLE001  whatever a module for another system may do
            return None


def walk_modules(name: str) -> Iterator[tuple[str, ModuleType]]:
    """The module ``name`` and its public submodules, parents first, then by name: (public name, module)."""
    module = import_quietly(name)
    if module is None:
        return
    yield name, module
    if name == "os":  # os.path is posixpath or ntpath under the name that people use
        yield "os.path", sys.modules["os.path"]
    if name in WITHOUT_CHILDREN:
        return
    for info in sorted(pkgutil.iter_modules(getattr(module, "__path__", ())), key=lambda info: info.name):
        if not info.name.startswith("_") and info.name not in LEFT_OUT:
            yield from walk_modules(f"{name}.{info.name}")
