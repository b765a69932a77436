"""Writes ``model.toml``, the manifest of a model folder (format 1), and nothing else does."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.extras import require
from cascaderank.model import MANIFEST, ModelSpec, load_spec

FORMAT = 1


def write_manifest(folder: Path, tables: Mapping[str, Any]) -> ModelSpec:
    """Write ``folder/model.toml`` and return it as the engine reads it.

    ``tables`` holds the manifest without ``format`` and ``files``; keys whose value is None are left out. ``files``
    becomes the sha256 of every other file of the folder, external data included. Raises ``ModelError`` for a value
    TOML cannot hold or a manifest the engine refuses; then no manifest is left behind.
    """
    manifest = {"format": FORMAT, **_without_none(tables)}
    scalars = {key: value for key, value in manifest.items() if not isinstance(value, Mapping)}
    sections = {key: value for key, value in manifest.items() if isinstance(value, Mapping)}
    ordered = {**scalars, **({"source": sections.pop("source")} if "source" in sections else {})}
    ordered |= {"files": hash_files(folder), **sections}
    path = folder / MANIFEST
    try:
        text = require("tomli_w").dumps(ordered)
    except TypeError as error:
        raise ModelError(f"{path}: a value has no form in TOML: {error}") from None
    path.write_text(text, encoding="utf-8")
    try:
        return load_spec(folder)
    except ModelError:
        path.unlink()
        raise


def hash_files(folder: Path) -> dict[str, str]:
    """sha256 in hexadecimal of every file below ``folder`` but the manifest, by its path inside the folder."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST:
            with path.open("rb") as stream:
                hashes[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return hashes


def significant(value: float, digits: int = 4) -> float:
    """``value`` rounded to so many significant digits: a manifest is read by people."""
    return float(f"{value:.{digits - 1}e}") if math.isfinite(value) else value


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }
