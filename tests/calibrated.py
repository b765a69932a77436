"""Calibrations written by hand into the manifests of synthetic models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascaderank.model import load_spec


def add_calibration(folder: Path, method: str = "platt", model: str | None = None, **parameters: Any) -> Path:
    """Append ``[calibration]`` to a manifest without one, bound to the model as it is or to ``model``."""
    lines = ["", "[calibration]", f'method = "{method}"', f'model = "{model or load_spec(folder).digest}"']
    lines += [f"{key} = {value!r}" for key, value in parameters.items()]
    with (folder / "model.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return folder
