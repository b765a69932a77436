"""What is refused by name before anything is loaded: models of another kind, and code that comes with a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cascaderank.errors import ModelError

KNOWN_PACKAGES = ("sentence_transformers", "pylate")
"""Packages whose modules are read; a class of any other package in modules.json is code that comes with the model."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """``names`` are values of ``architectures`` or ``model_type`` in config.json."""

    names: tuple[str, ...]
    reason: str


REFUSALS = (
    Refusal(
        ("JinaForRanking",),
        "is listwise: it scores a query's documents together, so the score of a pair depends on the other documents, "
        "which a stage must not allow. Use a cross-encoder",
    ),
)


def refuse_unsupported(config: Mapping[str, Any], tokenizer_config: Mapping[str, Any], where: str) -> None:
    """Raises ``ModelError`` for a model of the table above, and for one that needs code of its own."""
    names = {str(name) for name in (config.get("model_type"), *(config.get("architectures") or ()))}
    for refusal in REFUSALS:
        if found := sorted(names.intersection(refusal.names)):
            raise ModelError(f"{where}: {found[0]} {refusal.reason}")
    for file, table in (("config.json", config), ("tokenizer_config.json", tokenizer_config)):
        if code := table.get("auto_map"):
            classes = sorted({str(name) for name in code.values()} if isinstance(code, Mapping) else {str(code)})
            raise ModelError(
                f"{where}: {file} asks for code that comes with the model (auto_map: {', '.join(classes)}), which is "
                "never run. If transformers has this architecture itself and its class loads these weights, remove "
                "auto_map from a copy of the folder and export that: missing weights are refused and the parity gate "
                "compares the rest"
            )


def refuse_foreign_module(kind: str, where: str) -> None:
    """Raises ``ModelError`` for a class of modules.json that is in none of ``KNOWN_PACKAGES``."""
    if kind.partition(".")[0] not in KNOWN_PACKAGES:
        raise ModelError(
            f"{where}: has the module {kind!r}, code that comes with the model, which is never run; modules of "
            f"{' and '.join(KNOWN_PACKAGES)} are read"
        )
