"""The parity gate: a model folder, run by the engine, beside the framework it came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import ModelError
from cascaderank.export.engine import Engine
from cascaderank.export.pairs import Pair, parity_pairs, texts_of
from cascaderank.export.report import Agreement, ParityReport, Progress
from cascaderank.manifest import PAIRED, Output
from cascaderank.model import load_spec

Float32 = NDArray[np.float32]

TOLERANCE = 1e-4
"""fp32 beside torch fp32: two orders of the same sums. Real models of six layers stay below 1e-5."""

BATCH_TOLERANCE = 1e-5
"""fp32 alone beside fp32 in a micro-batch, relative to logits above 1 (DESIGN, promise 1)."""

BATCH_ROWS = 8

RESOLUTION = 1e-6


class PairScorer(Protocol):
    """What the gate compares with. ``label`` names framework, version and precision.

    ``logits`` gives float32 ``[pairs]`` (of two columns the second minus the first), ``vectors`` one float32 array
    ``[1, dimension]`` (bi-encoder) or ``[tokens, dimension]`` (late interaction) per text. A cross-encoder needs only
    ``logits``, an encoder only ``vectors``.
    """

    label: str

    def logits(self, pairs: Sequence[Pair]) -> Float32: ...

    def vectors(self, texts: Sequence[str], side: str) -> list[Float32]: ...


@dataclass(frozen=True, slots=True)
class Measured:
    """One scoring of the pairs: ``scores`` float32 ``[pairs]`` order them, ``values`` ``[pairs, n]`` are compared."""

    scores: Float32
    values: Float32


def check_parity(
    folder: Path, reference: PairScorer, *, tolerance: float = TOLERANCE, progress: Progress | None = None
) -> ParityReport:
    """Score at least 64 varied pairs with the engine and with ``reference`` and compare; judges nothing.

    Cross-encoders are compared by logit, bi-encoders by both texts' vectors, late interaction by MaxSim.
    """
    report = progress or _silent
    with Engine(folder) as engine:
        spec = engine.spec
        pairs = parity_pairs(engine.count_tokens, engine.query_limit(), spec.max_length)
        alone = _over(pairs, lambda part: measure(engine, part), "parity: pairs one by one", report)
    with Engine(folder, max_rows=BATCH_ROWS) as engine:
        together = _over(pairs, lambda part: measure(engine, part), "parity: pairs in micro-batches", report)
    expected = _over(
        pairs,
        lambda part: measure_reference(reference, spec.kind, part, spec.output.length_normalize),
        f"parity: pairs in {reference.label}",
        report,
    )
    agreement = compare(alone, expected)
    return ParityReport(
        reference=reference.label,
        agreement=agreement,
        batch_max_abs_diff=float(np.abs(together.values - alone.values).max()),
        tolerance=tolerance,
        score_range=score_range(alone.scores, spec.output),
        worst_pair=pairs[agreement.worst],
    )


def gate(report: ParityReport, folder: Path) -> None:
    """Raise ``ModelError`` where the report is outside its tolerance, naming the pair that differs most."""
    if report.passed:
        return
    query, document = (_shown(text) for text in report.worst_pair)
    raise ModelError(
        f"{folder.name}: the exported model does not score as {report.reference} does: max |diff| "
        f"{report.agreement.max_abs_diff:.3g} over {report.agreement.pairs} pairs, tolerance {report.tolerance:g}, "
        f"worst for query {query} and document {document}; check template, segments, pooling and max_length"
    )


def compare_folders(folder: Path, other: Path) -> Agreement:
    """How the engine's scores with ``folder`` agree with those with ``other`` (say int8 with fp32), pairs alone."""
    spec = load_spec(folder)
    with Engine(other) as engine:
        pairs = parity_pairs(engine.count_tokens, engine.query_limit(), spec.max_length)
        expected = measure(engine, pairs)
    with Engine(folder) as engine:
        return compare(measure(engine, pairs), expected)


def batch_invariant(report: ParityReport) -> bool:
    """Whether micro-batches moved no score by more than what the order of fp32 sums explains."""
    scale = max(1.0, *(abs(bound) for bound in report.score_range))
    return report.batch_max_abs_diff <= BATCH_TOLERANCE * scale


def _over(pairs: Sequence[Pair], score: Callable[[Sequence[Pair]], Measured], what: str, report: Progress) -> Measured:
    """Score query by query, which is how micro-batches come about, and report each."""
    parts = [list(group) for _, group in groupby(pairs, key=lambda pair: pair[0])]
    measured = []
    for done, part in enumerate(parts):
        report(done, len(parts), what)
        measured.append(score(part))
    report(len(parts), len(parts), what)
    return Measured(
        np.concatenate([part.scores for part in measured]), np.concatenate([part.values for part in measured])
    )


def measure(engine: Engine, pairs: Sequence[Pair]) -> Measured:
    """The engine's scores of the pairs."""
    scores = engine.logits(pairs)
    if engine.spec.kind != "bi_encoder":
        return Measured(scores, scores[:, np.newaxis])
    queries, documents = texts_of(pairs)
    vectors = np.concatenate([engine.vectors(queries, "query"), engine.vectors(documents, "document")], axis=1)
    return Measured(scores, vectors)


def measure_reference(
    reference: PairScorer, kind: str, pairs: Sequence[Pair], length_normalize: bool = False
) -> Measured:
    """The same of the framework; MaxSim and dot products are taken here, in float64."""
    if kind in PAIRED:
        scores = reference.logits(pairs)
        return Measured(scores, scores[:, np.newaxis])
    queries, documents = (
        reference.vectors(texts, side) for texts, side in zip(texts_of(pairs), ("query", "document"), strict=True)
    )
    scores = np.array(
        [_maxsim(query, document, length_normalize) for query, document in zip(queries, documents, strict=True)],
        np.float32,
    )
    if kind == "late_interaction":
        return Measured(scores, scores[:, np.newaxis])
    return Measured(scores, np.concatenate([np.concatenate(queries), np.concatenate(documents)], axis=1))


def compare(found: Measured, expected: Measured) -> Agreement:
    """Largest and mean absolute difference of the values, and tau-b of the scores."""
    differences = np.abs(found.values.astype(np.float64) - expected.values)
    per_pair = differences.max(axis=1)
    return Agreement(
        pairs=len(found.scores),
        max_abs_diff=float(per_pair.max()),
        mean_abs_diff=float(differences.mean()),
        kendall_tau=kendall_tau(found.scores, expected.scores),
        worst=int(per_pair.argmax()),
    )


def kendall_tau(left: Float32, right: Float32) -> float:
    """Kendall's tau-b of two float32 ``[n]`` scorings: 1 the same order, -1 reversed, ties counted as ties.

    Scores within ``RESOLUTION`` of each other (times the largest above 1) are tied: fp32 sums cannot order them.
    Kendall, "The treatment of ties in ranking problems", Biometrika 1945. NaN where one of them is constant.
    """
    upper = np.triu_indices(len(left), 1)
    signs = [_signs(values.astype(np.float64))[upper] for values in (left, right)]
    norm = math.sqrt(float(np.abs(signs[0]).sum()) * float(np.abs(signs[1]).sum()))
    return float((signs[0] * signs[1]).sum()) / norm if norm else math.nan


def _signs(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Who is above whom, int64 ``[n, n]`` of -1, 0 and 1."""
    differences = np.subtract.outer(values, values)
    differences[np.abs(differences) <= RESOLUTION * max(1.0, float(np.abs(values).max(initial=0.0)))] = 0.0
    return np.sign(differences).astype(np.int64)


def score_range(logits: Float32, output: Output) -> tuple[float, float]:
    """Smallest and largest shown score: the sigmoid of the logit where the model is shown so."""
    values = logits.astype(np.float64)
    if output.squashed:
        values = 0.5 * (1.0 + np.tanh(0.5 * (values - output.center) / output.temperature))  # a sigmoid: no overflow
    return float(values.min()), float(values.max())


def _maxsim(query: Float32, document: Float32, length_normalize: bool) -> float:
    """MaxSim over token vectors; with one vector each it is the dot product."""
    best = (query.astype(np.float64) @ document.astype(np.float64).T).max(axis=1)
    return float(best.mean() if length_normalize else best.sum())


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def _silent(done: int, total: int, what: str) -> None:
    """Progress that nobody watches."""
