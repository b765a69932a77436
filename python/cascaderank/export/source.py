"""Reads a Hugging Face model folder's own files: what it says about itself, before anything is decided."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.colbert import METADATA, is_colbert, projection_of, settings_of
from cascaderank.export.extras import first_line, require
from cascaderank.export.refusals import refuse_foreign_module, refuse_unsupported

_HUB_FILES = ("*.json", METADATA, "*.safetensors", "*.bin", "*.txt", "*.model", "README.md")
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Module:
    """One entry of modules.json: its class name without the package, its folder, its config.json.

    ``shared``: its weights lie among the transformer's.
    """

    kind: str
    folder: Path
    config: Mapping[str, Any]
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A model to export. ``settings`` is config_sentence_transformers.json, or what ColBERT's own artifact says in its
    words; tables are empty where a file is absent.

    ``weights`` is the folder of the transformer itself, which older sentence-transformers put in a folder of its own.
    """

    name: str
    revision: str | None
    folder: Path
    weights: Path
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    modules: tuple[Module, ...]
    max_seq_length: int | None
    licence: str


def open_source(source: str | Path) -> Source:
    """Find and read a model folder, or a name that the Hugging Face hub (or its local cache) resolves.

    Raises ``ModelError`` where there is none, it is not one of a transformer model, or is refused by name (refusals).
    """
    folder, name, revision = _locate(source)
    modules = tuple(_read_modules(folder))
    weights = modules[0].folder if modules else folder
    config = _read_json(weights / "config.json")
    if not config:
        raise ModelError(f"{weights}: no config.json; give the folder that transformers' save_pretrained wrote")
    refuse_unsupported(config, _read_json(weights / "tokenizer_config.json"), name)
    settings = _read_json(folder / "config_sentence_transformers.json")
    if is_colbert(config) and not modules:
        metadata = _read_json(folder / METADATA)
        settings = settings_of(metadata, name)
        projection = projection_of(metadata, int(config.get("hidden_size", 0)))
        modules = (Module("Transformer", folder, {}), Module("Dense", folder, projection, shared=True))
    lengths = [_read_json(path) for path in sorted(weights.glob("sentence_*_config.json"))]
    return Source(
        name=name,
        revision=revision,
        folder=folder,
        weights=weights,
        config=config,
        settings=settings,
        modules=modules,
        max_seq_length=next((table["max_seq_length"] for table in lengths if table.get("max_seq_length")), None),
        licence=_read_licence(folder / "README.md"),
    )


def _locate(source: str | Path) -> tuple[Path, str, str | None]:
    folder = Path(source).expanduser()
    if folder.is_dir():
        # A snapshot in the hub's cache is a folder too; its name is the revision.
        revision = folder.name if _REVISION.fullmatch(folder.name) else None
        return folder, folder.resolve().name, revision
    name = str(source)
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        raise ModelError(f"{name}: no such folder; give a model folder or a name of the hub, like owner/model")
    hub = require("huggingface_hub")
    try:
        snapshot = Path(hub.snapshot_download(name, allow_patterns=list(_HUB_FILES), ignore_patterns=["onnx/*"]))
    except Exception as error:
        raise ModelError(
            f"{name}: neither a folder nor a model the hub can be asked for here "
            f"({type(error).__name__}: {first_line(error)}); download it and give the folder"
        ) from error
    return snapshot, name, snapshot.name if _REVISION.fullmatch(snapshot.name) else None


def _read_modules(folder: Path) -> list[Module]:
    path = folder / "modules.json"
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        parts = [(str(entry["type"]), folder / entry["path"]) for entry in entries]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: not a list of modules with type and path: {error}") from None
    for kind, _ in parts:
        refuse_foreign_module(kind, str(path))
    modules = [Module(kind.rpartition(".")[2], where, _read_json(where / "config.json")) for kind, where in parts]
    if not modules or modules[0].kind != "Transformer":
        raise ModelError(f"{path}: starts with {modules[0].kind if modules else 'nothing'!r}, expected a Transformer")
    return modules


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(table, dict):
        raise ModelError(f"{path}: expected an object, found {type(table).__name__}")
    return table


def _read_licence(card: Path) -> str:
    """``license:`` of the model card's front matter; "unknown" where it says nothing."""
    if card.is_file():
        front = card.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
        found = re.search(r"^license:\s*['\"]?([^'\"\n]+)", front, re.MULTILINE)
        if found:
            return found.group(1).strip()
    return "unknown"
