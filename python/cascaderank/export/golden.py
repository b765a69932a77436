"""The golden scores that a manifest gets once its model has passed the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascaderank.export.engine import Engine
from cascaderank.export.manifest import significant
from cascaderank.export.pairs import golden_pairs
from cascaderank.export.parity import PairScorer, measure_reference
from cascaderank.golden import template_hash
from cascaderank.manifest import GoldenPair


def golden_table(folder: Path, reference: PairScorer | None = None, *, tolerance: float) -> dict[str, Any]:
    """``[golden]`` for a folder whose manifest is otherwise finished.

    The logits are those of ``reference`` (the framework) and ``tolerance`` the parity gate's; or, where the graph
    differs from the framework by design, the folder's own and twice what that moved them by: another processor rounds
    other sums, and may be as far from fp32 in the other direction.
    """
    with Engine(folder) as engine:
        spec, tokenizer = engine.spec, engine.part.tokenizer
        texts = golden_pairs(engine.count_tokens, engine.query_limit(), spec.max_length)
        pairs = [(query, text * repeat) for query, text, repeat in texts]
        if reference is None:
            logits = engine.logits(pairs)
        else:
            logits = measure_reference(reference, spec.kind, pairs, spec.output.length_normalize).scores
        golden = [GoldenPair(*text, significant(float(logit), 7)) for text, logit in zip(texts, logits, strict=True)]
        return {
            "template": template_hash(spec, tokenizer, golden),
            "tolerance": significant(tolerance),
            "pairs": [
                {"query": pair.query, "document": pair.text}
                | ({"repeat": pair.repeat} if pair.repeat > 1 else {})
                | {"logit": pair.logit}
                for pair in golden
            ],
        }
