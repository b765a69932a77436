"""Model folders: name or path -> ``ModelSpec``, read from the manifest ``model.toml`` and checked against the files."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from cascaderank.calibration import Calibration, read_calibration
from cascaderank.errors import ModelError
from cascaderank.manifest import Golden, Input, Output, read_golden, read_input, read_output
from cascaderank.tables import Reader

MANIFEST = "model.toml"
KINDS = ("cross_encoder", "bi_encoder", "late_interaction", "decoder")
PRECISIONS = ("fp32", "fp16", "int8", "int8-static", "int8-block", "int4-block")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything needed to run a model folder and to trust its scores (DESIGN: a model folder).

    ``digest`` identifies what decides a score: the files' hashes and the input, output and window settings. Vectors and
    tokens computed ahead are bound to it, and so is ``calibration``, the fitted map from logit to log-odds (or None).
    Folders made without golden scores have None in ``golden``.
    """

    folder: Path
    name: str
    kind: str
    max_length: int
    vocab_size: int
    input: Input
    output: Output
    precision: str
    batch_invariant: bool
    calibration: Calibration | None
    golden: Golden | None
    files: Mapping[str, str]
    digest: str
    manifest: Mapping[str, Any]

    def told(self, instruction: str | None) -> ModelSpec:
        """The model as a stage has it that gives it this instruction (None: its own): another instruction, other
        logits, so a calibration that was fitted under another one is left out."""
        fitted = self.calibration
        if fitted is None or self.input.query_wording(instruction) == self.input.query_wording(fitted.instruction):
            return self
        return replace(self, calibration=None)

    @property
    def model_file(self) -> Path:
        return self.folder / "model.onnx"

    @property
    def tokenizer_file(self) -> Path:
        return self.folder / "tokenizer.json"


def installed_models() -> dict[str, Path]:
    """Names of models that installed packages offer through the entry point group ``cascaderank.models``."""
    found: dict[str, Path] = {}
    for entry in sorted(entry_points(group="cascaderank.models"), key=lambda item: item.name):
        found.update(entry.load().folders())
    return found


def find_folder(model: str | os.PathLike[str], base: Path | None = None) -> Path:
    """Resolve a folder (relative to ``base``, the cascade file's folder) or the name of an installed model."""
    path = Path(model).expanduser()
    folder = path if path.is_absolute() or base is None else base / path
    if folder.is_dir():
        return folder
    installed = installed_models()
    if str(model) in installed:
        return installed[str(model)]
    names = ", ".join(sorted(installed)) or "none; pip install cascaderank-models"
    raise ModelError(f"model {str(model)!r}: no such folder ({folder}) and no installed model of that name ({names})")


def prefix(precision: str) -> str:
    """What the keys of ``[parity]`` begin with that say how a precision differs from fp32: ``int4_block``."""
    return precision.replace("-", "_")


def load_spec(folder: str | os.PathLike[str], *, verify: bool = True) -> ModelSpec:
    """Read and check a model folder.

    ``verify`` compares the sha256 of every file with the manifest. Raises ``ModelError`` naming folder, file and key.
    """
    path = Path(folder)
    source = path / MANIFEST
    if not source.is_file():
        raise ModelError(
            f"{path}: no {MANIFEST}; a model folder holds model.onnx, tokenizer.json and {MANIFEST}, "
            "`cascaderank export MODEL OUT` writes one"
        )
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{source}: not valid TOML: {error}") from None
    reader = Reader(table, str(source), ModelError)
    version = reader.integer("format", minimum=1)
    if version != 1:
        raise ModelError(f"{source}: format {version}; this version reads format 1, re-export the model")
    kind = reader.choice("kind", KINDS)
    precision = reader.section("precision")
    layout = precision.choice("layout", ("padded", "packed"), default="padded")
    if layout != "padded":
        raise ModelError(f"{source}: precision.layout is 'packed'; only padded graphs can be run so far")
    segments_form = read_input(reader.section("input"), kind)
    output = read_output(reader.section("output"), kind)
    if ("past" in segments_form.names) != bool(output.present):
        raise ModelError(f"{source}: input.names.past and output.present go together; correct them or re-export")
    files = _read_files(reader, path)
    if verify:
        _verify(path, files)
    max_length = reader.integer("max_length", minimum=1)
    identity = json.dumps([files, table["input"], table["output"], max_length], sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return ModelSpec(
        folder=path,
        name=reader.text("name"),
        kind=kind,
        max_length=max_length,
        vocab_size=reader.integer("vocab_size", minimum=1),
        input=segments_form,
        output=output,
        precision=precision.choice("weights", PRECISIONS),
        batch_invariant=precision.flag("batch_invariant"),
        calibration=read_calibration(reader.section("calibration"), digest) if "calibration" in table else None,
        golden=read_golden(reader.section("golden")) if "golden" in table else None,
        files=files,
        digest=digest,
        manifest=table,
    )


def _read_files(reader: Reader, folder: Path) -> dict[str, str]:
    section = reader.section("files")
    files = {name: section.text(name) for name in section.table}
    for name in ("model.onnx", "tokenizer.json"):
        if name not in files:
            raise ModelError(f"{folder / MANIFEST}: files lists no {name!r}; re-export the model")
    for name in files:
        inside = (folder / name).resolve()
        if not inside.is_relative_to(folder.resolve()):
            raise ModelError(f"{folder / MANIFEST}: files.{name!r} lies outside the folder; move it in and re-export")
    return files


def _verify(folder: Path, files: Mapping[str, str]) -> None:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path}: listed in {MANIFEST} but missing; copy the whole folder or re-export the model")
        with path.open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
        if actual != expected:
            raise ModelError(
                f"{path}: sha256 {actual[:16]}… is not the {expected[:16]}… of {MANIFEST}; the file is damaged or was "
                "changed after export, re-export the model"
            )
