"""A cascade file from settings: what ``Cascade.load`` reads back."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from cascaderank.config import CascadeConfig, Dynamic, Stage
from cascaderank.errors import MissingExtraError
from cascaderank.kernels import Choices
from cascaderank.model import ModelSpec, find_folder, installed_models
from cascaderank.outputs import limit_score

_CASCADE_APART = ("stages", "base", "first_weight", "first_calibration")
_APART = ("model", "candidates_over", "stored", "dynamic")  # stage settings with a form of their own in a file


def check_writer() -> None:
    """Raise ``MissingExtraError`` where the package that writes TOML is missing: before hours of scoring."""
    _dumps({})


def chosen_config(config: CascadeConfig, specs: Sequence[ModelSpec], choices: Choices, row: int = 0) -> CascadeConfig:
    """The cascade with one row of ``choices``: its cut-offs and limits, without the stages it leaves out."""
    stages = []
    for place, (stage, spec) in enumerate(zip(config.stages, specs, strict=True)):
        keep = int(choices.keeps[row, place])
        if not keep:
            continue
        low, margin, mass = (
            None if value != value else float(value)
            for value in (choices.min_logits[row, place], choices.margins[row, place], choices.masses[row, place])
        )
        if low is not None:
            low = limit_score(low, spec)
        dynamic = None if mass is None else Dynamic(mass, float(choices.temperatures[place]))
        stages.append(
            replace(
                stage,
                keep=keep,
                min_score=low,
                min_probability=None,
                margin=margin,
                dynamic=dynamic,
                candidates_over=None,
                stored=None,
            )
        )
    return replace(config, stages=tuple(stages))


def write_config(config: CascadeConfig, path: Path, comment: Sequence[str]) -> None:
    """Write a cascade file; ``comment`` lines stand above. Model folders are named relative to it."""
    top: dict[str, Any] = {}
    defaults = CascadeConfig(stages=config.stages)
    for key in (item.name for item in fields(config) if item.name not in _CASCADE_APART):
        if getattr(config, key) != getattr(defaults, key):
            top[key] = getattr(config, key)
    if config.first_calibration is not None:
        top["first_calibration"] = dict(zip("ab", config.first_calibration, strict=True))
    if config.first_weight != defaults.first_weight:
        top["weights"] = {"first": config.first_weight}
    tables = ["".join(f"# {line}\n" for line in comment)]
    if top:
        tables.append("[cascade]\n" + _lines(top))
    tables += ["[[stage]]\n" + _lines(_stage(stage, config.base, path.parent)) for stage in config.stages]
    path.write_text("\n".join(tables), encoding="utf-8")


def _lines(table: Mapping[str, Any]) -> str:
    """One line per key; tables inside a stage stand on their key's line, as people write them."""

    def value(key: str, item: Any) -> str:
        if isinstance(item, Mapping):
            return f"{key} = {{ {', '.join(value(*pair) for pair in item.items())} }}"
        return _dumps({key: item}).strip()

    return "".join(f"{value(key, item)}\n" for key, item in table.items())


def _stage(stage: Stage, base: Path | None, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"model": _model(stage.model, base, folder)}
    for item in fields(stage):
        value = getattr(stage, item.name)
        if item.name not in _APART and value != item.default:
            found[item.name] = value
    if stage.dynamic is not None:
        found["dynamic"] = {"mass": stage.dynamic.mass, "temperature": stage.dynamic.temperature}
    when = {key: getattr(stage, key) for key in ("candidates_over", "stored") if getattr(stage, key) is not None}
    if when:
        found["when"] = when
    return found


def _model(model: str | os.PathLike[str], base: Path | None, folder: Path) -> str:
    found = find_folder(model, base)
    if installed_models().get(str(model)) == found:
        return str(model)
    return os.path.relpath(found.resolve(), folder.resolve())


def _dumps(table: Mapping[str, Any]) -> str:
    try:
        import tomli_w
    except ImportError as error:
        raise MissingExtraError(
            "tune writes cascade files with tomli-w, which is not installed; pip install 'cascaderank[tune]'"
        ) from error
    text: str = tomli_w.dumps(table)
    return text
