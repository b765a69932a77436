"""An existing model folder beside the Hugging Face model it came from."""

from __future__ import annotations

from pathlib import Path

from cascaderank.errors import ModelError
from cascaderank.export.decide import Options, decide
from cascaderank.export.decoders.template import template_of
from cascaderank.export.engine import Engine
from cascaderank.export.framework import Reference, length_limit, load_module, load_tokenizer
from cascaderank.export.parity import TOLERANCE, check_parity, gate, measure_reference
from cascaderank.export.quality import measure_quality
from cascaderank.export.report import ParityReport, Progress, QualityReport
from cascaderank.export.source import open_source
from cascaderank.model import MANIFEST, ModelSpec, load_spec, prefix
from cascaderank.tables import Reader

SLACK = 1.5
"""How far beyond what its manifest recorded a folder that is not fp32 may be: another processor rounds other sums."""


def compare_with_source(
    folder: Path,
    source: str | Path,
    *,
    template: str | None = None,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> ParityReport:
    """Parity of an existing model folder with the Hugging Face model it came from; judges nothing (see ``gate`` and
    ``gate_recorded``).

    Scoring settings are read from ``source`` again, the window from ``folder``; a decoder is asked as the folder's
    manifest says, or as ``template`` does. Needs the export extra.
    """
    reference = open_reference(load_spec(folder), source, template)
    return check_parity(folder, reference, tolerance=tolerance, progress=progress)


def measure_against(
    folder: Path, source: str | Path, data: Path, *, split: str = "dev", progress: Progress | None = None
) -> QualityReport:
    """nDCG@10 of the Hugging Face model in torch and of the folder. Raises what ``measure_quality`` does."""
    spec = load_spec(folder)
    reference = open_reference(spec, source)
    with Engine(folder) as engine:
        return measure_quality(
            lambda query, texts: measure_reference(
                reference, spec.kind, [(query, text) for text in texts], spec.output.length_normalize
            ).scores,
            engine, data, split=split, progress=progress,
        )  # fmt: skip


def gate_recorded(report: ParityReport, spec: ModelSpec) -> float:
    """Raise ``ModelError`` where the folder is further from its source than its precision explains; returns the limit.

    fp32: than the report's tolerance. Others: than ``SLACK`` times what the manifest's ``[parity]`` recorded beside
    fp32, and the tolerance on top; a manifest that records nothing cannot vouch for it.
    """
    if spec.precision == "fp32":
        gate(report, spec.folder)
        return report.tolerance
    key = f"{prefix(spec.precision)}_max_abs_diff"
    recorded = spec.manifest.get("parity", {}).get(key)
    if not isinstance(recorded, (int, float)):
        raise ModelError(f"{spec.folder}: its manifest has no parity.{key} to hold it to; export the model again")
    allowed = SLACK * recorded + report.tolerance
    if not report.agreement.max_abs_diff <= allowed:
        query, document = report.worst_pair
        raise ModelError(
            f"{spec.folder}: {spec.precision} is up to {report.agreement.max_abs_diff:.3g} from {report.reference} "
            f"over {report.agreement.pairs} pairs; its manifest recorded {recorded:.3g} and so allows {allowed:.3g}; "
            f"worst for query {query[:60]!r} and document {document[:60]!r}: another source, or a damaged folder"
        )
    return allowed


def open_reference(spec: ModelSpec, source: str | Path, template: str | None = None) -> Reference:
    """The Hugging Face model in torch, read as the folder's manifest says it was; ``template`` in place of its own."""
    found = open_source(source)
    tokenizer = load_tokenizer(found)
    pooling = spec.output.pooling if spec.kind == "bi_encoder" and not found.modules else None
    if spec.kind == "decoder":
        own = template_of(Reader(spec.manifest.get("template", {}), f"{spec.folder / MANIFEST}: template", ModelError))
        options = Options(spec.kind, spec.max_length, template=own if template is None else template)
    else:
        options = Options(
            spec.kind, spec.max_length, spec.output.score if spec.kind == "cross_encoder" else None, pooling,
            spec.output.normalize, spec.input.query_prefix, spec.input.document_prefix,
        )  # fmt: skip
    decision = decide(found, options, length_limit(tokenizer))
    return Reference(decision, tokenizer, load_module(found, decision))
