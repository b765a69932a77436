"""What an export and a parity run report; plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int, str], None]
"""Called with (done, total, what): steps or items done of total, and in words what is being done."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two scorings of the same pairs agree.

    ``max_abs_diff`` and ``mean_abs_diff`` are over what was compared (logits, or the components of vectors scaled to
    the reference's length); ``kendall_tau`` is tau-b of the pairs' scores; ``worst`` is the pair of the largest
    difference.
    """

    pairs: int
    max_abs_diff: float
    mean_abs_diff: float
    kendall_tau: float
    worst: int


@dataclass(frozen=True, slots=True)
class ParityReport:
    """A model folder, run by this engine, beside the framework it came from.

    ``batch_max_abs_diff`` is the largest change of a logit (or vector component) between a pair run alone and in a
    micro-batch with others. ``score_range`` is that of the shown score over the pairs.
    """

    reference: str
    agreement: Agreement
    batch_max_abs_diff: float
    tolerance: float
    score_range: tuple[float, float]
    worst_pair: tuple[str, str]

    @property
    def passed(self) -> bool:
        """Whether the largest difference is within the tolerance (a NaN is not)."""
        return self.agreement.max_abs_diff <= self.tolerance

    def summary(self) -> str:
        """One line for people."""
        a = self.agreement
        return (
            f"{a.pairs} pairs beside {self.reference}: max |diff| {a.max_abs_diff:.2e}, mean {a.mean_abs_diff:.2e}, "
            f"Kendall tau {a.kendall_tau:.4f}, in micro-batches {self.batch_max_abs_diff:.1e} (tolerance "
            f"{self.tolerance:.0e})"
        )


@dataclass(frozen=True, slots=True)
class QualityReport:
    """nDCG@10 of a reranked BM25 list before and after quantisation; ``data`` names collection, split and sizes."""

    data: str
    queries: int
    ndcg10_fp32: float
    ndcg10_int8: float

    @property
    def loss(self) -> float:
        """How much nDCG@10 quantisation cost; negative where it gained."""
        return self.ndcg10_fp32 - self.ndcg10_int8


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What ``export_model`` wrote and measured. ``int8`` and ``quality`` are None for fp32 and without data."""

    folder: Path
    name: str
    kind: str
    family: str
    precision: str
    max_length: int
    size_bytes: int
    parity: ParityReport
    int8: Agreement | None
    quality: QualityReport | None
    notes: tuple[str, ...]

    def summary(self) -> str:
        """A few lines for people."""
        lines = [
            f"{self.folder}: {self.kind} {self.name!r} ({self.family}), {self.precision}, "
            f"max_length {self.max_length}, {self.size_bytes / 1e6:.1f} MB",
            f"  fp32: {self.parity.summary()}",
        ]
        if self.int8 is not None:
            lines.append(
                f"  int8 beside fp32: Kendall tau {self.int8.kendall_tau:.4f}, max |diff| "
                f"{self.int8.max_abs_diff:.2e}, mean {self.int8.mean_abs_diff:.2e}"
            )
        if self.quality is not None:
            lines.append(
                f"  nDCG@10 on {self.quality.data}: fp32 {self.quality.ndcg10_fp32:.4f}, "
                f"int8 {self.quality.ndcg10_int8:.4f}"
            )
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])
