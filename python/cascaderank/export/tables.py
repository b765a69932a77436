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
from cascaderank.export.report import Agreement, ParityReport, QualityReport
from cascaderank.manifest import PAIRED, ROLES


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
        return {"name": graph.output, "columns": decision.columns, "score": decision.score, **_shown(decision)}
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


def _shown(decision: Decision) -> dict[str, Any]:
    template = decision.template
    if template is None:
        return {}
    return {"center": template.center, "temperature": template.temperature, "present": PRESENT}


def _head_size(decision: Decision) -> int:
    sizes = [module.config.get("out_features") for module in decision.head if module.kind == "Dense"]
    return int(sizes[-1]) if sizes and isinstance(sizes[-1], int) else 0


def parity_table(
    report: ParityReport, int8: Agreement | None = None, quality: QualityReport | None = None
) -> dict[str, Any]:
    """``[parity]``: fp32 beside the framework; of an int8 folder also int8 beside fp32, and nDCG@10 where measured."""
    table: dict[str, Any] = {
        "reference": report.reference,
        "pairs": report.agreement.pairs,
        "max_abs_diff": significant(report.agreement.max_abs_diff),
        "mean_abs_diff": significant(report.agreement.mean_abs_diff),
        "kendall_tau": _number(report.agreement.kendall_tau),
        "batch_max_abs_diff": significant(report.batch_max_abs_diff),
        "tolerance": report.tolerance,
    }
    if int8 is not None:
        table |= {
            "int8_kendall_tau": _number(int8.kendall_tau),
            "int8_max_abs_diff": significant(int8.max_abs_diff),
            "int8_mean_abs_diff": significant(int8.mean_abs_diff),
        }
    if quality is not None:
        table |= {
            "int8_ndcg10_fp32": round(quality.ndcg10_fp32, 4),
            "int8_ndcg10": round(quality.ndcg10_int8, 4),
            "int8_ndcg10_loss": round(quality.loss, 4),
            "data": quality.data,
        }
    return table


def range_of(report: ParityReport) -> list[float]:
    """The observed range of the score, for ``[output]``."""
    return [significant(bound) for bound in report.score_range]


def with_range(tables: Mapping[str, Any], report: ParityReport) -> dict[str, Any]:
    """The same sections with the observed range in ``[output]``."""
    return {**tables, "output": {**tables["output"], "range": range_of(report)}}


def _number(tau: float) -> float | None:
    # Undefined for constant scores; TOML could say nan, but a reader could do nothing with it.
    return round(tau, 6) if tau == tau else None
