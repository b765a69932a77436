"""What an export says of itself: the command that repeats it, and notes for the person who ran it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from cascaderank.export.decide import Decision, Options
from cascaderank.export.hints import names_prompts
from cascaderank.export.parity import batch_invariant
from cascaderank.export.report import Change, ParityReport
from cascaderank.export.source import Source
from cascaderank.model import MANIFEST


def recipe_of(found: Source, target: Path, precision: str, options: Options, flags: Sequence[str] = ()) -> str:
    """The command line; folders by their last name only, since a manifest travels."""
    words = ["cascaderank export", found.name, target.name, f"--precision {precision}"]
    for key in ("kind", "max_length", "score", "pooling", "query_prefix", "document_prefix", "template"):
        value = getattr(options, key)
        if value is not None:
            words.append(f"--{key.replace('_', '-')} {shlex.quote(str(value))}")
    if options.normalize is not None:
        words.append("--normalize" if options.normalize else "--no-normalize")
    return " ".join([*words, *flags])


def notes_of(
    found: Source, decision: Decision, licence: str, parity: ParityReport, change: Change | None
) -> tuple[str, ...]:
    """What the person should know beyond the figures."""
    notes = []
    if decision.kind == "bi_encoder" and not names_prompts(found) and not decision.query_prefix:
        notes.append(
            "its files name no text before queries or documents; where its card does (e5, bge, nomic), export it again "
            "with query_prefix and document_prefix"
        )
    if licence == "unknown":
        notes.append(f"{found.name} names no licence; pass licence, and know it before you ship the folder")
    if change is None and not batch_invariant(parity.batch_max_abs_diff, parity.score_range):
        notes.append(
            f"scores move by {parity.batch_max_abs_diff:.1e} in micro-batches; {MANIFEST} says batch_invariant = false"
        )
    if change is not None:
        notes += change.notes
        if change.quality is None and change.agreement.kendall_tau < 0.95:
            notes.append(
                f"{change.precision} keeps the order of fp32 only to Kendall tau {change.agreement.kendall_tau:.3f}; "
                "compare nDCG with data"
            )
    return tuple(notes)
