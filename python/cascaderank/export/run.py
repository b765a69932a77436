"""``export_model``: a Hugging Face model in, a model folder out, or an error and nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.calibration import calibration_inputs
from cascaderank.export.decide import Decision, Options, decide
from cascaderank.export.extras import out_of_space, require
from cascaderank.export.families import hidden_size
from cascaderank.export.form import Form, make_form
from cascaderank.export.framework import Reference, length_limit, load_module, load_tokenizer
from cascaderank.export.golden import golden_table
from cascaderank.export.graph import EXTERNAL_OVER, export_graph, read_graph
from cascaderank.export.manifest import write_manifest
from cascaderank.export.parity import TOLERANCE, batch_invariant, check_parity, compare_folders, gate
from cascaderank.export.quality import measure_quality
from cascaderank.export.quantize import quantize_graph
from cascaderank.export.report import Agreement, ExportReport, ParityReport, Progress, QualityReport
from cascaderank.export.source import Source, open_source
from cascaderank.export.tables import input_table, output_table, parity_table, with_range
from cascaderank.export.words import notes_of, recipe_of

PRECISIONS = ("fp32", "int8")
_STEPS = 6


def export_model(
    source: str | Path,
    out: Path,
    *,
    kind: str | None = None,
    precision: str = "fp32",
    max_length: int | None = None,
    score: str | None = None,
    pooling: str | None = None,
    normalize: bool | None = None,
    query_prefix: str | None = None,
    document_prefix: str | None = None,
    template: str | None = None,
    name: str | None = None,
    licence: str | None = None,
    source_name: str | None = None,
    recipe: str | None = None,
    data: Path | None = None,
    split: str = "dev",
    reduce_range: bool = False,
    quantize_embeddings: bool = False,
    external_over: int = EXTERNAL_OVER,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> ExportReport:
    """Write the model folder ``out`` from a Hugging Face model folder or name, if it passes the parity gate.

    What is None is read from the model's own files, but ``template``, what a decoder is asked: the name of one that
    comes with the package, or a TOML file (see ``decoders.DecoderTemplate``). ``precision`` is "fp32" or "int8"
    (``quantize.DEFAULT``). ``data`` is a folder in the layout of BEIR: nDCG@10 is measured on its ``split`` before and
    after quantisation, and its split "train", where there is one, calibrates in place of the parity gate's texts.
    ``reduce_range`` and ``quantize_embeddings``: see ``quantize_graph``. Graphs of more than ``external_over`` bytes
    keep their weights in a file beside them. ``recipe`` is the command that repeats the export, ``source_name`` what
    the model is called where the folder's name does not say it.

    Raises ``ModelError`` (unsupported or undecided model, gate not passed; ``out`` is then not written),
    ``MissingExtraError`` without the export extra. ``out`` must not exist, or be an empty folder.
    """
    if precision not in PRECISIONS:
        raise ModelError(f"export: precision {precision!r}; expected one of {', '.join(PRECISIONS)}")
    if data is not None and precision == "fp32":
        raise ModelError("export: data measures what quantisation costs; give it with precision int8")
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"{target}: exists and is not an empty folder; choose another or remove it")
    for module in ("torch", "transformers", "optimum.exporters.onnx", "onnx", "onnxruntime"):
        require(module)
    step = _Steps(progress)
    step("reading the model")
    found = open_source(source)
    tokenizer = load_tokenizer(found)
    options = Options(kind, max_length, score, pooling, normalize, query_prefix, document_prefix, template)
    decision = decide(found, options, length_limit(tokenizer))
    form = make_form(found, decision, tokenizer)
    flags = [
        flag for flag, on in (("--reduce-range", reduce_range), ("--quantize-embeddings", quantize_embeddings)) if on
    ]
    tables = {
        "kind": decision.kind,
        "name": name or target.resolve().name,
        "max_length": decision.max_length,
        "vocab_size": int(found.config["vocab_size"]),
        "source": {
            "model": source_name or found.name,
            "revision": found.revision,
            "recipe": recipe or recipe_of(found, target, precision, options, flags),
            "licence": licence or found.licence,
            "data": [],
        },
    }
    if decision.template is not None:
        tables["template"] = asdict(decision.template)  # what `check --against` asks the source model
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
    try:
        folders = {part: partial / part for part in ("fp32", "int8")}
        for folder in folders.values():
            folder.mkdir()
        step("exporting the graph")
        reference, tables = _fp32_folder(folders["fp32"], found, decision, form, tokenizer, tables, external_over)
        step("comparing with torch")
        parity = check_parity(folders["fp32"], reference, tolerance=tolerance, progress=progress)
        gate(parity, target)
        tables = with_range(tables, parity)
        _write(folders["fp32"], tables, parity, _fp32_precision(batch_invariant(parity)), reference)
        int8, quality = None, None
        if precision == "int8":
            step("quantising")
            int8, quality = _int8_folder(
                folders, tables, parity, data, split, progress,
                {"reduce_range": reduce_range, "embeddings": quantize_embeddings, "external_over": external_over},
            )  # fmt: skip
        step("writing the folder")
        if target.is_dir():
            target.rmdir()
        folders[precision].replace(target)
    except Exception as error:
        if (reason := out_of_space(error)) is None:
            raise
        raise ModelError(
            f"{target}: cannot be written, {reason}; an export holds the weights several times over there while it "
            "runs. Nothing was left behind; free some, or choose another place"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    step("done")
    return ExportReport(
        folder=target,
        name=str(tables["name"]),
        kind=decision.kind,
        family=decision.family.name,
        precision=precision,
        max_length=decision.max_length,
        size_bytes=sum(path.stat().st_size for path in target.rglob("*") if path.is_file()),
        parity=parity,
        int8=int8,
        quality=quality,
        notes=notes_of(found, decision, licence or found.licence, parity, int8),
    )


class _Steps:
    """Reports the export's steps; each call ends the one before."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self, what: str) -> None:
        if self._progress is not None:
            self._progress(_STEPS if what == "done" else self._done, _STEPS, what)
        self._done += 1


def _fp32_folder(
    folder: Path, found: Source, decision: Decision, form: Form, tokenizer: Any, tables: dict[str, Any], external: int
) -> tuple[Reference, dict[str, Any]]:
    """Graph, tokenizer and a first manifest, with which the engine can run the folder; the gate comes next."""
    model = load_module(found, decision)
    export_graph(decision, model, tokenizer, folder / "model.onnx", external)
    _save_tokenizer(tokenizer, folder / "tokenizer.json")
    graph = read_graph(folder / "model.onnx")
    tables = {
        **tables,
        "input": input_table(decision, form, graph),
        "output": output_table(decision, form, graph, hidden_size(decision.family, found.config)),
    }
    write_manifest(folder, {**tables, "precision": _fp32_precision(True)})
    return Reference(decision, tokenizer, model), tables


def _int8_folder(
    folders: dict[str, Path], tables: dict[str, Any], parity: ParityReport, data: Path | None, split: str,
    progress: Progress | None, settings: dict[str, Any],
) -> tuple[Agreement, QualityReport | None]:  # fmt: skip
    fp32, folder = folders["fp32"], folders["int8"]
    inputs = calibration_inputs(fp32, data, split)
    method = quantize_graph(fp32 / "model.onnx", folder / "model.onnx", inputs, **settings)
    shutil.copy2(fp32 / "tokenizer.json", folder / "tokenizer.json")
    # Dynamic activations are quantised over the whole tensor, so neighbours in a micro-batch move a score.
    precision = {"weights": "int8", "method": method, "layout": "padded", "batch_invariant": False}
    write_manifest(folder, {**tables, "precision": precision})
    int8 = compare_folders(folder, fp32)
    quality = None if data is None else measure_quality(fp32, folder, data, split=split, progress=progress)
    golden = golden_table(folder, tolerance=int8.max_abs_diff)
    table = parity_table(parity, int8, quality)
    write_manifest(folder, {**tables, "precision": precision, "parity": table, "golden": golden})
    return int8, quality


def _write(
    folder: Path, tables: dict[str, Any], parity: ParityReport, precision: dict[str, Any], reference: Reference
) -> None:
    golden = golden_table(folder, reference, tolerance=parity.tolerance)
    write_manifest(folder, {**tables, "precision": precision, "parity": parity_table(parity), "golden": golden})


def _fp32_precision(invariant: bool) -> dict[str, Any]:
    return {"weights": "fp32", "method": "as exported", "layout": "padded", "batch_invariant": invariant}


def _save_tokenizer(tokenizer: Any, path: Path) -> None:
    """tokenizer.json without truncation and padding: those are packing's, and a file that cuts would cut silently."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    path.write_text(json.dumps({**state, "truncation": None, "padding": None}, ensure_ascii=False), encoding="utf-8")
