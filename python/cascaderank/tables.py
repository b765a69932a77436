"""A typed reader of TOML tables, so that every error of a file names the file and the key."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from cascaderank.errors import CascadeError


class Reader:
    """Typed access to a TOML table; every error says which file and key, what was found and what is allowed."""

    def __init__(self, table: Mapping[str, Any], where: str, error: type[CascadeError]) -> None:
        self.table = table
        self.where = where
        self.error = error

    def only(self, allowed: Collection[str]) -> None:
        """Refuse keys that are not in ``allowed``: a misspelt key must not be read as a default."""
        unknown = sorted(set(self.table) - set(allowed))
        if unknown:
            raise self.error(f"{self.where}: unknown key {unknown[0]!r}; known keys: {', '.join(sorted(allowed))}")

    def _get(self, key: str, default: Any) -> Any:
        if key in self.table:
            return self.table[key]
        if default is None:
            raise self.error(f"{self.where}: key {key!r} is missing")
        return default

    def _fail(self, key: str, value: object, wanted: str) -> CascadeError:
        return self.error(f"{self.where}: {key} is {value!r}, expected {wanted}")

    def section(self, key: str) -> Reader:
        value = self._get(key, None)
        if not isinstance(value, Mapping):
            raise self._fail(key, value, "a table")
        return Reader(value, f"{self.where}: [{key}]", self.error)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self._fail(key, value, "a string")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in allowed:
            raise self._fail(key, value, "one of " + ", ".join(allowed))
        return value

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self._fail(key, value, "true or false")
        return value

    def integer(self, key: str, default: int | None = None, minimum: int = 0) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise self._fail(key, value, f"an integer of at least {minimum}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._fail(key, value, "a finite number")
        return float(value)

    def texts(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        value = self._get(key, default)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._fail(key, value, "a list of strings")
        return tuple(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self._get(key, None)
        numeric = isinstance(value, list) and all(type(item) in (int, float) and math.isfinite(item) for item in value)
        if not numeric:
            raise self._fail(key, value, "a list of finite numbers")
        return tuple(map(float, value))

    def tables(self, key: str) -> Iterator[Reader]:
        """One reader per table of an array of tables."""
        value = self._get(key, None)
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            raise self._fail(key, value, "an array of tables")
        for number, item in enumerate(value, start=1):
            yield Reader(item, f"{self.where}.{key}[{number}]", self.error)
