"""``export_model``: a Hugging Face model in, a model folder out, or an error and nothing."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from cascaderank.errors import ModelError
from cascaderank.export.convert import Judged, convert_folder, making_for
from cascaderank.export.decide import Options, decide
from cascaderank.export.exact import fp32_folder, fp32_precision
from cascaderank.export.extras import out_of_space, require
from cascaderank.export.form import make_form
from cascaderank.export.framework import length_limit, load_tokenizer
from cascaderank.export.golden import golden_table
from cascaderank.export.graph import EXTERNAL_OVER
from cascaderank.export.manifest import write_manifest
from cascaderank.export.parity import TOLERANCE, batch_invariant, check_parity, gate
from cascaderank.export.precisions import Making, check_precision
from cascaderank.export.quality import MAX_LOSS
from cascaderank.export.report import ExportReport, Progress
from cascaderank.export.source import open_source
from cascaderank.export.tables import parity_table, with_range
from cascaderank.export.words import notes_of, recipe_of

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
    calibration: Path | None = None,
    max_ndcg_loss: float = MAX_LOSS,
    reduce_range: bool = False,
    quantize_embeddings: bool = False,
    external_over: int = EXTERNAL_OVER,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> ExportReport:
    """Write the model folder ``out`` from a Hugging Face model folder or name, if it passes the parity gate.

    What is None is read from the model's own files, but ``template``, what a decoder is asked: the name of one that
    comes with the package, or a TOML file (see ``decoders.DecoderTemplate``). ``precision`` is "fp32" or one of
    ``PRECISIONS``, whose difference from fp32 and speed beside it are measured. ``data`` is a folder in the layout of
    BEIR: nDCG@10 is measured on its ``split`` before and after, a loss that is above ``max_ndcg_loss`` (a share of
    fp32's nDCG@10) beyond its noise is refused, and its split "train", where there is one, calibrates in place of
    the parity gate's texts; the pairs of the file ``calibration`` do in place of both (see ``typical_inputs``).
    ``reduce_range`` and ``quantize_embeddings``: see ``quantize_graph`` and ``block_graph``.
    Graphs of more than ``external_over`` bytes keep their weights in a file beside them. ``recipe`` is the command that
    repeats the export, ``source_name`` what the model is called where the folder's name does not say it.

    Raises ``ModelError`` (unsupported or undecided model, gate not passed; ``out`` is then not written),
    ``MissingExtraError`` without the export extra. ``out`` must not exist, or be an empty folder.
    """
    check_precision(precision, Making((), reduce_range, quantize_embeddings), calibration)
    if data is not None and precision == "fp32":
        raise ModelError("export: data measures what another precision than fp32 costs; choose one, such as int8")
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
    if data is not None:
        flags.append(f"--data {shlex.quote(Path(data).name)} --split {shlex.quote(split)}")
    if calibration is not None:
        flags.append(f"--calibration {shlex.quote(Path(calibration).name)}")
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
        folders = {part: partial / part for part in ("fp32", precision)}
        for folder in folders.values():
            folder.mkdir()
        step("exporting the graph")
        reference, tables = fp32_folder(folders["fp32"], found, decision, form, tokenizer, tables, external_over)
        step("comparing with torch")
        parity = check_parity(folders["fp32"], reference, tolerance=tolerance, progress=progress)
        gate(parity, target)
        tables = with_range(tables, parity)
        section = fp32_precision(batch_invariant(parity.batch_max_abs_diff, parity.score_range))
        golden = golden_table(folders["fp32"], reference, tolerance=parity.tolerance)
        finished = {**tables, "precision": section, "parity": parity_table(parity), "golden": golden}
        write_manifest(folders["fp32"], finished)
        change = None
        if precision != "fp32":
            step(f"converting to {precision}")
            judged = Judged(data, split, max_ndcg_loss)
            making = making_for(
                precision, folders["fp32"], judged, reduce_range=reduce_range,
                quantize_embeddings=quantize_embeddings, external_over=external_over, calibration=calibration,
            )  # fmt: skip
            change = convert_folder(
                folders["fp32"], folders[precision], precision, making, tables, parity, judged, progress
            )
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
        change=change,
        notes=notes_of(found, decision, licence or found.licence, parity, change),
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
