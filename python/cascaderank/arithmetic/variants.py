"""The ways a stage's model can be computed here: its folders in other precisions, each on every provider there is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cascaderank.config import Stage
from cascaderank.errors import CascadeError, InputError
from cascaderank.model import MANIFEST, ModelSpec, find_folder, load_spec
from cascaderank.processor import has_bf16
from cascaderank.providers import HOST_PROVIDERS, available_providers


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compute a model: a folder, the stage's ``precision`` (``bf16``: an fp32 folder) and ``provider``.

    ``present``: it is what the stage says now.
    """

    folder: Path
    precision: str
    provider: str
    present: bool = False

    @property
    def name(self) -> str:
        return f"{self.precision}, {self.provider}"


def find_variants(stage: Stage, base: Path | None, others: Sequence[Path] = ()) -> tuple[Variant, ...]:
    """What exists of the stage's model: its folder, folders of ``others`` and of its own parent that hold the same
    model in another precision, each on the providers installed; bf16 where the processor has it.

    The stage's present one is first; ``auto`` counts as the CPU. Raises what reading the stage's folder raises.
    """
    own = load_spec(find_folder(stage.model, base).resolve())
    beside = (folder for folder in sorted(own.folder.parent.iterdir()) if (folder / MANIFEST).is_file())
    specs = {own.folder: own}
    for folder in (*(path.resolve() for path in others), *beside):
        spec = _read(folder)
        if spec is not None and folder not in specs and same_model(own, spec):
            specs[folder] = spec
    installed = [name for name in available_providers() if name in HOST_PROVIDERS]
    provider = stage.provider if stage.provider in installed else "cpu"
    now = (own.folder, stage.precision or own.precision, provider)
    ways = dict.fromkeys([now, *((*way, name) for name in installed for way in _precisions(specs.values(), name))])
    return tuple(Variant(*way, present=way == now) for way in ways)


def check_used(others: Iterable[Path], found: Iterable[Variant]) -> None:
    """Raise ``InputError`` for a folder that was given and is no stage's model: nobody should wonder where it went."""
    used = {variant.folder for variant in found}
    for folder in others:
        if folder.resolve() not in used:
            raise InputError(
                f"{folder}: the model of no stage in another precision; [source] model, [input], [output], max_length "
                "and tokenizer.json have to be the same"
            )


def same_model(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether two folders say that they hold the same model, asked the same way."""
    return _identity(one) == _identity(other)


def _identity(spec: ModelSpec) -> str:
    manifest = spec.manifest
    source = manifest.get("source", {}).get("model")
    parts = [spec.kind, source, spec.files["tokenizer.json"], spec.max_length, manifest["input"], manifest["output"]]
    return json.dumps(parts, sort_keys=True)


def _precisions(specs: Iterable[ModelSpec], provider: str) -> Iterable[tuple[Path, str]]:
    for spec in specs:
        yield spec.folder, spec.precision
        if spec.precision == "fp32" and provider == "openvino" and has_bf16():
            yield spec.folder, "bf16"


def _read(folder: Path) -> ModelSpec | None:
    """A neighbour that is damaged is no variant; the stage's own folder and a folder that is used are read in full."""
    try:
        return load_spec(folder, verify=False)
    except CascadeError:
        return None
