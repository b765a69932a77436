"""Finds what is documented in a module: the module itself, its functions, classes and their members."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from cascaderank.demo.passages import count_words
from cascaderank.demo.signatures import signature_text

MIN_WORDS = 4
"""A docstring with fewer words says nothing that its name does not."""

_GENERATED = re.compile(r"Alias for field number \d+|Initialize self\.")


@dataclass(frozen=True, slots=True)
class Entry:
    """One documented object: its public dotted ``name``, how it is called, and its docstring without indentation."""

    name: str
    signature: str
    docstring: str


class Reader:
    """Reads modules one after the other; an object that two of them export is kept where it comes first.

    ``owners`` are the names of the modules that will be read: what a module exports from one of them is left to it.
    """

    def __init__(self, owners: frozenset[str]) -> None:
        self._owners = owners
        self._seen: dict[int, object] = {}  # keeps the objects alive, so that an id means one object

    def read(self, name: str, module: ModuleType) -> Iterator[Entry]:
        """Entries of the module: its own, its functions by name, then its classes by name, each with its members.

        Functions come first for the sake of modules like ``random``, whose functions repeat a class's methods.
        """
        if self._is_new(module):
            yield from _entry(name, "", vars(module).get("__doc__"))
        values = [(attribute, _get(module, attribute)) for attribute in _public_names(module)]
        for attribute, value in sorted(values, key=lambda item: _reading_order(*item)):
            if isinstance(value, ModuleType) or self._belongs_elsewhere(name, module, value):
                continue
            path = f"{name}.{attribute}"
            if inspect.isclass(value):
                yield from self._read_class(path, value)
            elif callable(value) and _has_own_docstring(value) and self._is_new(value):
                yield from _entry(path, signature_text(value), value.__doc__)

    def _read_class(self, path: str, cls: type) -> Iterator[Entry]:
        if not self._is_new(cls):
            return
        yield from _entry(path, signature_text(cls), _class_docstring(cls))
        for attribute in sorted(dir(cls)):
            if attribute.startswith("_"):
                continue
            owner = next((base for base in cls.__mro__ if attribute in vars(base)), None)
            if owner is None or not _is_shown_by(cls, owner):
                continue
            member = vars(owner)[attribute]
            member = getattr(member, "__func__", member)
            if inspect.isclass(member):
                if member.__qualname__.startswith(f"{cls.__qualname__}."):
                    yield from self._read_class(f"{path}.{attribute}", member)
            elif _has_own_docstring(member) and self._is_new(member):
                yield from _entry(f"{path}.{attribute}", signature_text(member), member.__doc__)

    def _is_new(self, value: object) -> bool:
        if id(value) in self._seen:
            return False
        self._seen[id(value)] = value
        return True

    def _belongs_elsewhere(self, name: str, module: ModuleType, value: object) -> bool:
        origin = getattr(value, "__module__", None)
        if not isinstance(origin, str) or origin in (name, module.__name__) or origin.startswith(f"{name}."):
            return False
        if "__all__" not in vars(module):
            return origin.lstrip("_") != name  # a C module's half of it has the same name behind an underscore
        if origin.partition(".")[0] not in sys.stdlib_module_names:
            return True  # put there by a program, as pytest does with pdb.set_trace
        return origin in self._owners and origin != "builtins" and not name.startswith(f"{origin}.")


def _public_names(module: ModuleType) -> list[str]:
    names = vars(module).get("__all__")
    return sorted({str(name) for name in (dir(module) if names is None else names) if not str(name).startswith("_")})


def _reading_order(attribute: str, value: object) -> tuple[bool, bool, str]:
    """Functions, then classes; an object's own name before its aliases in the module."""
    return inspect.isclass(value), getattr(value, "__name__", attribute) != attribute, attribute


def _get(module: ModuleType, attribute: str) -> object:
    if attribute.endswith("hook") and f"__{attribute}__" in vars(module):
        return vars(module)[f"__{attribute}__"]  # the original of sys.excepthook and its like, which programs replace
    try:
        return getattr(module, attribute)
    except (AttributeError, ImportError):  # __all__ promises it in vain, or its own late import fails
        return None


def _is_private(cls: type) -> bool:
    """Whether users are not meant to name the class: an underscore, or a private module whose parent lacks it."""
    parts = cls.__module__.split(".")
    hidden = next((place for place, part in enumerate(parts) if part.startswith("_")), None)
    if hidden is None or cls.__name__.startswith("_"):
        return cls.__name__.startswith("_")
    home = sys.modules.get(".".join(parts[:hidden]) or parts[0].lstrip("_"))
    return home is None or vars(home).get(cls.__name__) is not cls


def _is_shown_by(cls: type, owner: type) -> bool:
    """Whether ``cls`` is the class under which people look for what ``owner`` documents.

    A public class is that for its own members, a private base class is represented by its first public descendant.
    """
    if owner is cls or not _is_private(owner):
        return owner is cls
    return not any(base is not cls and issubclass(base, owner) and not _is_private(base) for base in cls.__mro__)


def _has_own_docstring(value: object) -> bool:
    docstring = value.__doc__
    return isinstance(docstring, str) and docstring != type(value).__doc__


def _class_docstring(cls: type) -> str | None:
    """The class's own docstring, then the one of its ``__init__``, where the arguments are often explained."""
    texts = [vars(cls).get("__doc__")]
    if "__init__" in vars(cls):
        texts.append(vars(cls)["__init__"].__doc__)
    found = [inspect.cleandoc(text) for text in texts if isinstance(text, str) and not _GENERATED.match(text)]
    return "\n\n".join(found) or None


def _entry(path: str, signature: str, docstring: object) -> Iterator[Entry]:
    if isinstance(docstring, str):
        text = inspect.cleandoc(docstring)
        if count_words(text) >= MIN_WORDS and not _GENERATED.match(text):
            yield Entry(path, signature, text)
