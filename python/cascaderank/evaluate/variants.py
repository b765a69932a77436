"""Cascades made from a cascade, for comparison: its first stages, and its last model alone."""

from __future__ import annotations

from dataclasses import replace

from cascaderank.cascade import Cascade
from cascaderank.config import CascadeConfig, Stage


def prefix_configs(config: CascadeConfig) -> list[CascadeConfig | None]:
    """The first stage, the first two, ... without the whole cascade: what orders the candidates after each stage.

    None where fusion gives all of those stages weight 0: they cut, and leave the order as it was. Deadlines and early
    stops are left out: a variant answers in full.
    """
    found: list[CascadeConfig | None] = []
    for count in range(1, len(config.stages)):
        stages = config.stages[:count]
        ordered = config.fusion == "last" or any(stage.weight > 0 for stage in stages)
        found.append(replace(config, stages=stages, deadline_ms=None, early_stop=False) if ordered else None)
    return found


def last_alone(config: CascadeConfig) -> CascadeConfig:
    """The last stage's model on all candidates, without cut-offs: what the cascade saves."""
    stage: Stage = replace(
        config.stages[-1], keep=config.max_candidates, min_score=None, margin=None, min_probability=None, dynamic=None,
        candidates_over=None, stored=None, weight=1.0,
    )  # fmt: skip
    return replace(config, stages=(stage,), fusion="last", deadline_ms=None, early_stop=False)


def load_prefixes(cascade: Cascade) -> list[Cascade | None]:
    """``prefix_configs`` loaded; close them after use."""
    return [None if config is None else Cascade(config) for config in prefix_configs(cascade.config)]
