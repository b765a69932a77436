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
    the reference's length); ``kendall_tau`` is the mean tau-b within random lists of documents; ``worst`` is the
    pair of the largest difference.
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
    """nDCG@10 of a reranked BM25 list in fp32 and in ``precision``; ``data`` names collection, split and sizes.

    ``loss_error`` is the standard error of the mean of the queries' differences, which are paired.
    """

    data: str
    queries: int
    precision: str
    ndcg10_fp32: float
    ndcg10: float
    loss_error: float

    @property
    def loss(self) -> float:
        """How much nDCG@10 the precision cost; negative where it gained."""
        return self.ndcg10_fp32 - self.ndcg10

    def shows_more_than(self, share: float) -> bool:
        """Whether the loss is above ``share`` of fp32's nDCG@10 by more than two standard errors."""
        return self.loss - 2 * self.loss_error > share * self.ndcg10_fp32

    def rules_out(self, share: float) -> bool:
        """Whether the loss is at most ``share`` of fp32's nDCG@10 even with two standard errors on top."""
        return self.loss + 2 * self.loss_error <= share * self.ndcg10_fp32

    def summary(self) -> str:
        """One line for people."""
        return (
            f"nDCG@10 on {self.data}: fp32 {self.ndcg10_fp32:.4f}, {self.precision} {self.ndcg10:.4f}, lost "
            f"{self.loss:+.4f} ± {self.loss_error:.4f}"
        )


@dataclass(frozen=True, slots=True)
class Ratio:
    """fp32's time over another precision's for rows of ``tokens``: quartiles of ``rounds`` paired ratios."""

    tokens: int
    rounds: int
    lower: float
    median: float
    upper: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Ratios of time, one row a run on one thread; they say something about this processor and this ONNX Runtime."""

    processor: str
    onnxruntime: str
    ratios: tuple[Ratio, ...]

    def summary(self) -> str:
        """One line for people."""
        found = ", ".join(
            f"{ratio.median:.2f} ({ratio.lower:.2f}-{ratio.upper:.2f}) at {ratio.tokens} tokens"
            for ratio in self.ratios
        )
        return f"fp32's time over its: {found}; one row, one thread, {self.processor}, ONNX Runtime {self.onnxruntime}"


@dataclass(frozen=True, slots=True)
class Change:
    """What another precision than fp32 is (``method``, the manifest's words) and what it changed.

    ``agreement`` is with fp32 in the same engine; ``batch_max_abs_diff`` the largest change of a logit (or vector
    component) in a micro-batch. ``quality`` is None without data, ``max_loss`` what was allowed of it.
    """

    precision: str
    method: str
    agreement: Agreement
    batch_max_abs_diff: float
    batch_invariant: bool
    speed: Speed
    quality: QualityReport | None
    max_loss: float
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """A few lines for people."""
        a = self.agreement
        company = "do not move scores" if self.batch_invariant else "move scores, so rows run alone on a CPU"
        lines = [
            f"{self.precision} beside fp32: max |diff| {a.max_abs_diff:.2e}, mean {a.mean_abs_diff:.2e}, Kendall tau "
            f"{a.kendall_tau:.4f} within random lists",
            f"method: {self.method}; micro-batches {company} ({self.batch_max_abs_diff:.1e})",
            f"speed: {self.speed.summary()}",
        ]
        if self.quality is None:
            return [*lines, f"quality: not measured; --data measures what {self.precision} costs in nDCG@10"]
        lines.append(self.quality.summary())
        if not self.quality.rules_out(self.max_loss):
            lines.append(
                f"note: {self.quality.queries} queries are too few to say that less than {self.max_loss:.1%} is lost"
            )
        return lines


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What ``export_model`` wrote and measured. ``change`` is None for fp32."""

    folder: Path
    name: str
    kind: str
    family: str
    precision: str
    max_length: int
    size_bytes: int
    parity: ParityReport
    change: Change | None
    notes: tuple[str, ...]

    def summary(self) -> str:
        """A few lines for people."""
        lines = [
            f"{self.folder}: {self.kind} {self.name!r} ({self.family}), {self.precision}, "
            f"max_length {self.max_length}, {self.size_bytes / 1e6:.1f} MB",
            f"  fp32: {self.parity.summary()}",
        ]
        if self.change is not None:
            lines += [f"  {line}" for line in self.change.lines()]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])
