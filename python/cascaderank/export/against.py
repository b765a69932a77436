"""An existing model folder beside the Hugging Face model it came from."""

from __future__ import annotations

from pathlib import Path

from cascaderank.errors import ModelError
from cascaderank.export.decide import Options, decide
from cascaderank.export.decoders.template import template_of
from cascaderank.export.framework import Reference, length_limit, load_module, load_tokenizer
from cascaderank.export.parity import TOLERANCE, check_parity
from cascaderank.export.report import ParityReport, Progress
from cascaderank.export.source import open_source
from cascaderank.model import MANIFEST, load_spec
from cascaderank.tables import Reader


def compare_with_source(
    folder: Path,
    source: str | Path,
    *,
    template: str | None = None,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> ParityReport:
    """Parity of an existing model folder with the Hugging Face model it came from; judges nothing (see ``gate``).

    Scoring settings are read from ``source`` again, the window from ``folder``; a decoder is asked as the folder's
    manifest says, or as ``template`` does. Needs the export extra.
    """
    spec = load_spec(folder)
    found = open_source(source)
    tokenizer = load_tokenizer(found)
    pooling = spec.output.pooling if spec.kind == "bi_encoder" and not found.modules else None
    if spec.kind == "decoder":
        own = template_of(Reader(spec.manifest.get("template", {}), f"{folder / MANIFEST}: template", ModelError))
        options = Options(spec.kind, spec.max_length, template=own if template is None else template)
    else:
        options = Options(
            spec.kind, spec.max_length, spec.output.score if spec.kind == "cross_encoder" else None, pooling,
            spec.output.normalize, spec.input.query_prefix, spec.input.document_prefix,
        )  # fmt: skip
    decision = decide(found, options, length_limit(tokenizer))
    reference = Reference(decision, tokenizer, load_module(found, decision))
    return check_parity(folder, reference, tolerance=tolerance, progress=progress)
