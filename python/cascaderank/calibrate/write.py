"""Writes what was fitted into manifests and cascade files; the rest of the file, comments included, stays as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cascaderank.calibrate.extras import require
from cascaderank.calibration import Calibration
from cascaderank.config import CascadeConfig, read_config
from cascaderank.errors import CascadeError
from cascaderank.model import MANIFEST, ModelSpec, load_spec


def significant(value: float, digits: int = 4) -> float:
    """Rounded to so many significant digits: these files are read by people."""
    return float(f"{value:.{digits - 1}e}")


def write_calibration(
    spec: ModelSpec, calibration: Calibration, fitted_on: Mapping[str, Any], measured: Mapping[str, Any]
) -> ModelSpec:
    """Put ``[calibration]`` into the manifest of ``spec``, in the place of an earlier one, bound to the model's digest.

    ``fitted_on`` says on what, ``measured`` how well. Returns the model as the engine reads it now; a manifest that it
    would refuse is not left behind.
    """
    tomlkit = require("tomlkit")
    path = spec.folder / MANIFEST
    before = path.read_text(encoding="utf-8")
    document = tomlkit.parse(before)
    document.pop("calibration", None)
    section = tomlkit.table()
    section["method"] = calibration.method
    section["model"] = spec.digest
    for key, value in calibration.parameters().items():
        rounded = [significant(item, 7) for item in value] if isinstance(value, list) else significant(value, 7)
        # Knots may be neighbouring float32 values: rounded, they would be equal, or lie elsewhere.
        section[key] = value if key == "logits" else rounded
    section["fitted_on"] = dict(fitted_on)
    section["held_back"] = dict(measured)
    document["calibration"] = section
    replace_file(path, tomlkit.dumps(document))
    try:
        return load_spec(spec.folder, verify=False)
    except CascadeError:
        replace_file(path, before)
        raise


def write_weights(
    source: Path, target: Path, weights: Sequence[float | None], first: tuple[float, float, float] | None
) -> CascadeConfig:
    """Write the cascade file ``source`` to ``target`` with fusion ``weighted`` and ``weights``, one per stage; None
    leaves a stage's as it is.

    ``first`` is the first pass's weight and its line ``(a, b)`` from score to log-odds; None leaves it out. Model paths
    stay as they are, so that ``target`` belongs into the folder of ``source``. Returns it as the engine reads it.
    """
    tomlkit = require("tomlkit")
    document = tomlkit.parse(source.read_text(encoding="utf-8"))
    section = document.setdefault("cascade", tomlkit.table())
    section["fusion"] = "weighted"
    for key in ("weights", "first_calibration"):
        section.pop(key, None)
    if first is not None:
        weight, a, b = first
        section["weights"] = _inline(tomlkit, {"first": weight})
        section["first_calibration"] = _inline(tomlkit, {"a": a, "b": b})
    for stage, share in zip(document["stage"], weights, strict=True):
        if share is not None:
            stage["weight"] = significant(share)
    replace_file(target, tomlkit.dumps(document))
    return read_config(target)


def _inline(tomlkit: Any, values: Mapping[str, float]) -> Any:
    table = tomlkit.inline_table()
    table.update({key: significant(value, 7) for key, value in values.items()})
    return table


def replace_file(path: Path, text: str) -> None:
    """In one step: whoever reads the file meanwhile sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
