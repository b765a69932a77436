"""Writes the choice into a cascade file; the rest of it, comments included, stays as it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cascaderank.arithmetic.measure import Figures
from cascaderank.calibrate.extras import require
from cascaderank.calibrate.write import replace_file
from cascaderank.config import CascadeConfig, read_config
from cascaderank.errors import ModelError
from cascaderank.model import find_folder


def write_choices(source: Path, target: Path, chosen: Sequence[Figures], what: str) -> CascadeConfig:
    """Write the cascade file ``source`` to ``target`` with each stage's ``model``, ``precision`` and ``provider``.

    The figures stand behind ``provider`` as a comment; ``what`` says where they were measured, and stands above. A
    folder is named relative to ``target``, unless the stage's own name leads there. Returns it as the engine reads it.
    Raises ``MissingExtraError`` without tomlkit.
    """
    tomlkit = require("tomlkit")
    document = tomlkit.parse(source.read_text(encoding="utf-8"))
    for stage, item in zip(document["stage"], chosen, strict=True):
        variant = item.variant
        if not _leads_to(str(stage["model"]), target.resolve().parent, variant.folder):
            stage["model"] = os.path.relpath(variant.folder, target.resolve().parent)
        stage["precision"] = variant.precision
        stage["provider"] = tomlkit.item(variant.provider).comment(words(item))
    replace_file(target, f"# Arithmetic by `cascaderank precision`: {what}\n{tomlkit.dumps(document)}")
    return read_config(target)


def words(item: Figures) -> str:
    """The figures of one variant in a line."""
    lower, middle, upper = item.ratio
    text = f"{middle:.2f} times as fast as the reference ({lower:.2f}-{upper:.2f})"
    if item.loss is not None:
        low, high = item.loss.interval
        text += f", nDCG@10 lost {item.loss.mean:+.4f} (95 % {low:+.4f} to {high:+.4f}, {item.loss.queries} queries)"
    return text


def _leads_to(model: str, base: Path, folder: Path) -> bool:
    try:
        return find_folder(model, base).resolve() == folder
    except ModelError:
        return False
