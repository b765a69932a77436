"""An existing model folder beside the Hugging Face model it came from."""

from __future__ import annotations

from pathlib import Path

from cascaderank.export.decide import Options, decide
from cascaderank.export.framework import Reference, length_limit, load_module, load_tokenizer
from cascaderank.export.parity import TOLERANCE, check_parity
from cascaderank.export.report import ParityReport, Progress
from cascaderank.export.source import open_source
from cascaderank.model import load_spec


def compare_with_source(
    folder: Path, source: str | Path, *, tolerance: float = TOLERANCE, progress: Progress | None = None
) -> ParityReport:
    """Parity of an existing model folder with the Hugging Face model it came from; judges nothing (see ``gate``).

    Scoring settings are read from ``source`` again, the window from ``folder``; needs the export extra.
    """
    spec = load_spec(folder)
    found = open_source(source)
    tokenizer = load_tokenizer(found)
    pooling = spec.output.pooling if spec.kind == "bi_encoder" and not found.modules else None
    options = Options(
        spec.kind, spec.max_length, spec.output.score if spec.kind == "cross_encoder" else None, pooling,
        spec.output.normalize, spec.input.query_prefix, spec.input.document_prefix,
    )  # fmt: skip
    decision = decide(found, options, length_limit(tokenizer))
    reference = Reference(decision, tokenizer, load_module(found, decision))
    return check_parity(folder, reference, tolerance=tolerance, progress=progress)
