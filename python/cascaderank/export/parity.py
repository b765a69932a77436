"""The parity gate: a model folder, run by the engine, beside the framework it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import ModelError
from cascaderank.export.agreement import Measured, compare
from cascaderank.export.engine import Engine
from cascaderank.export.pairs import Pair, parity_pairs, random_lists, texts_of
from cascaderank.export.report import Agreement, ParityReport, Progress
from cascaderank.manifest import PAIRED, Output

Float32 = NDArray[np.float32]

TOLERANCE = 1e-4
"""fp32 beside torch fp32: two orders of the same sums. Real models of six layers stay below 1e-5."""

BATCH_TOLERANCE = 1e-5
"""fp32 alone beside fp32 in a micro-batch, relative to logits above 1 (DESIGN, promise 1)."""

BATCH_ROWS = 8


class PairScorer(Protocol):
    """What the gate compares with. ``label`` names framework, version and precision.

    ``logits`` gives float32 ``[pairs]`` (of two columns the second minus the first), ``vectors`` one float32 array
    ``[1, dimension]`` (bi-encoder) or ``[tokens, dimension]`` (late interaction) per text. A cross-encoder needs only
    ``logits``, an encoder only ``vectors``.
    """

    label: str

    def logits(self, pairs: Sequence[Pair]) -> Float32: ...

    def vectors(self, texts: Sequence[str], side: str) -> list[Float32]: ...


def check_parity(
    folder: Path, reference: PairScorer, *, tolerance: float = TOLERANCE, progress: Progress | None = None
) -> ParityReport:
    """Score at least 64 varied pairs and four random lists with the engine and with ``reference`` and compare; judges
    nothing.

    Cross-encoders are compared by logit, bi-encoders by both texts' vectors, late interaction by MaxSim.
    """
    report = progress or _silent
    with Engine(folder) as engine:
        spec = engine.spec
        pairs = compared_pairs(engine)
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


def compare_folders(folder: Path, other: Path, *, progress: Progress | None = None) -> tuple[Agreement, float]:
    """How the engine's scores with ``folder`` agree with those with ``other`` (say int8 with fp32), pairs alone; and
    how far micro-batches move the values of ``folder``.

    Raises ``ModelError`` for a value that is no number.
    """
    report = progress or _silent
    with Engine(other) as engine:
        pairs = compared_pairs(engine)
        expected = _over(pairs, lambda part: measure(engine, part), "pairs in fp32", report)
    with Engine(folder) as engine:
        name = engine.spec.precision
        alone = _over(pairs, lambda part: measure(engine, part), f"pairs in {name}", report)
    if not np.isfinite(alone.values).all():
        query, document = pairs[int(np.isfinite(alone.values).all(axis=1).argmin())]
        raise ModelError(
            f"{folder.name}: {name} gives a value that is no finite number for query {_shown(query)} and document "
            f"{_shown(document)}: something inside leaves the range of {name}; use another precision, such as fp32"
        )
    with Engine(folder, max_rows=BATCH_ROWS) as engine:
        together = _over(pairs, lambda part: measure(engine, part), f"pairs in {name}, in micro-batches", report)
    return compare(alone, expected), float(np.abs(together.values - alone.values).max())


def compared_pairs(engine: Engine) -> tuple[Pair, ...]:
    """The varied pairs, then the random lists."""
    limit = engine.query_limit()
    return (
        *parity_pairs(engine.count_tokens, limit, engine.spec.max_length),
        *random_lists(engine.count_tokens, limit),
    )


def batch_invariant(batch_max_abs_diff: float, score_range: tuple[float, float]) -> bool:
    """Whether micro-batches moved no score by more than what the order of fp32 sums explains."""
    return batch_max_abs_diff <= BATCH_TOLERANCE * max(1.0, *(abs(bound) for bound in score_range))


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
