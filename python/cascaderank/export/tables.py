"""The sections of a manifest, from what was decided and measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.decide import Decision
from cascaderank.export.decoders.module import PRESENT
from cascaderank.export.form import Form
from cascaderank.export.graph import GraphInfo
from cascaderank.export.manifest import significant
from cascaderank.export.report import Change, ParityReport, Speed
from cascaderank.manifest import PAIRED, ROLES
from cascaderank.model import prefix


def input_table(decision: Decision, form: Form, graph: GraphInfo) -> dict[str, Any]:
    """``[input]``; raises ``ModelError`` for a graph input that has no role."""
    if unknown := sorted(set(graph.inputs) - set(ROLES)):
        raise ModelError(f"the graph asks for {', '.join(unknown)}, which the engine does not feed; it feeds {ROLES}")
    templates: dict[str, Any] = (
        {"pair": list(form.pair)} if form.pair else {"query": list(form.query), "document": list(form.document)}
    )
    return {
        **templates,
        **_asked(decision),
        "segments": list(form.segments) if "token_type_ids" in graph.inputs else None,
        "query_prefix": decision.query_prefix,
        "document_prefix": decision.document_prefix,
        "pad_token": form.pad_token,
        "names": {role: role for role in ROLES if role in graph.inputs},
    }


def output_table(decision: Decision, form: Form, graph: GraphInfo, hidden_size: int) -> dict[str, Any]:
    """``[output]`` without the observed range, which the parity pairs give."""
    if decision.kind in PAIRED:
        return {"name": graph.output, "columns": decision.columns, "score": decision.score, **_shown(decision, graph)}
    dimension = graph.last or _head_size(decision) or hidden_size
    table: dict[str, Any] = {"name": graph.output, "dimension": dimension, "normalize": decision.normalize}
    if decision.kind == "bi_encoder":
        return {**table, "pooling": decision.pooling}
    return {
        **table,
        "query_length": decision.query_length,
        "mask_token": form.mask_token,
        "attend_to_expansion": decision.attend_to_expansion,
        "skip_tokens": list(form.skip_tokens),
        "length_normalize": False,
    }


def _asked(decision: Decision) -> dict[str, Any]:
    """What a decoder's template has beside prefixes; empty texts are left out."""
    template = decision.template
    if template is None:
        return {}
    keys = ("instruction_prefix", "instruction", "query_suffix")
    return {key: getattr(template, key) for key in keys if getattr(template, key)}


def _shown(decision: Decision, graph: GraphInfo) -> dict[str, Any]:
    template = decision.template
    if template is None:
        return {}
    shared = {"present": PRESENT} if "past" in graph.inputs else {}
    return {"center": template.center, "temperature": template.temperature, **shared}


def _head_size(decision: Decision) -> int:
    sizes = [module.config.get("out_features") for module in decision.head if module.kind == "Dense"]
    return int(sizes[-1]) if sizes and isinstance(sizes[-1], int) else 0


def parity_table(report: ParityReport, change: Change | None = None) -> dict[str, Any]:
    """``[parity]``: fp32 beside the framework; of another precision also that beside fp32, with keys that begin with
    ``prefix`` of it, its nDCG@10 where that was measured, and its speed."""
    table: dict[str, Any] = {
        "reference": report.reference,
        "pairs": report.agreement.pairs,
        "max_abs_diff": significant(report.agreement.max_abs_diff),
        "mean_abs_diff": significant(report.agreement.mean_abs_diff),
        "kendall_tau": _number(report.agreement.kendall_tau),
        "batch_max_abs_diff": significant(report.batch_max_abs_diff),
        "tolerance": report.tolerance,
    }
    if change is None:
        return table
    figures: dict[str, Any] = {
        "kendall_tau": _number(change.agreement.kendall_tau),
        "max_abs_diff": significant(change.agreement.max_abs_diff),
        "mean_abs_diff": significant(change.agreement.mean_abs_diff),
        "batch_max_abs_diff": significant(change.batch_max_abs_diff),
    }
    if change.quality is not None:
        figures |= {
            "ndcg10_fp32": round(change.quality.ndcg10_fp32, 4),
            "ndcg10": round(change.quality.ndcg10, 4),
            "ndcg10_loss": round(change.quality.loss, 4),
            "ndcg10_loss_error": round(change.quality.loss_error, 4),
        }
        table["data"] = change.quality.data
    table |= {f"{prefix(change.precision)}_{key}": value for key, value in figures.items()}
    return {**table, "speed": _speed_table(change.speed)}


def _speed_table(speed: Speed) -> dict[str, Any]:
    """``[parity.speed]``: fp32's time over this precision's, and where that was measured."""
    return {
        "processor": speed.processor,
        "onnxruntime": speed.onnxruntime,
        "threads": 1,
        "fp32_time_over_this": [
            {"tokens": ratio.tokens, "rounds": ratio.rounds}
            | {key: round(getattr(ratio, key), 3) for key in ("lower", "median", "upper")}
            for ratio in speed.ratios
        ],
    }


def range_of(report: ParityReport) -> list[float]:
    """The observed range of the score, for ``[output]``."""
    return [significant(bound) for bound in report.score_range]


def with_range(tables: Mapping[str, Any], report: ParityReport) -> dict[str, Any]:
    """The same sections with the observed range in ``[output]``."""
    return {**tables, "output": {**tables["output"], "range": range_of(report)}}


def _number(tau: float) -> float | None:
    # Undefined for constant scores; TOML could say nan, but a reader could do nothing with it.
    return round(tau, 6) if tau == tau else None
