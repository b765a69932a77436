"""Orders of one query's candidates by every system that the quality table compares, from scores alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascaderank.config import CascadeConfig
from cascaderank.kernels import Fusion, Pool
from measuring.measures import reciprocal_ranks, z_scores

FIRST = "first"  # BM25's scores; the other parts are named as the models' folders
BI, STATIC, SMALL, LARGE = "minilm-bi", "minilm-static", "minilm-ce-small", "minilm-ce-large"
ENCODERS, CROSS_ENCODERS = (BI, STATIC), (SMALL, LARGE)
SINGLE = {BI: "bi", STATIC: "static", SMALL: "small", LARGE: "large"}  # a model alone, by its folder
CHEAP = ("BM25", "bi", "static", "BM25 + bi", "RRF")  # what needs no cross-encoder
BARE = "cascade, bare texts"  # without stored vectors: the stages that run only then
RERANKERS = ("small", "large", "cascade", BARE, "large on all")
SYSTEMS = CHEAP + RERANKERS
THE_BAR = "BM25 + bi"
IN_BOTH = ("bi", THE_BAR, "small", "large", "cascade", "large on all")  # precisions; the static encoder is a table

Order = NDArray[np.intp]
Parts = Mapping[str, NDArray[np.float64]]  # part -> scores of the same candidates, in the first pass's order


def cascade_order(config: CascadeConfig, parts: Parts) -> Order:
    """Candidates, best first, as the engine's own pool and fusion order them when stages give these scores.

    Raises ValueError for settings that need more than scores to follow: limits on scores, stages that are skipped, and
    calibrated fusion.
    """
    limits = [(s.min_score, s.margin, s.candidates_over, s.stored) for s in config.stages]
    if config.fusion == "weighted" or any(limit != (None,) * 4 for limit in limits):
        raise ValueError("min_score, margin, when and weighted fusion cannot be followed from scores alone")
    weights = [config.first_weight, *(stage.weight for stage in config.stages)]
    fusion = Fusion(config.fusion, config.normalisation, config.rrf_k, weights, [])
    size, pool = len(parts[FIRST]), Pool()
    pool.reset(size, parts[FIRST].astype(np.float32), len(config.stages), fusion)
    for number, stage in enumerate(config.stages):
        alive = pool.alive()
        outputs = parts[Path(stage.model).name][alive].astype(np.float32)
        pool.collect(number, np.arange(len(alive)), outputs, 1)
        pool.prune(number, stage.keep, None, None)
    order: Order = pool.finish(size)[0]
    return order


def without(config: CascadeConfig, *models: str) -> CascadeConfig:
    """The cascade without these models and without cut-offs: every other stage scores every candidate."""
    stages = [replace(s, keep=config.max_candidates) for s in config.stages if Path(s.model).name not in models]
    return replace(config, stages=tuple(stages))


def by(values: NDArray[np.float64]) -> Order:
    """Highest first; equal values in the order given."""
    return np.argsort(-values, kind="stable")


def orders(config: CascadeConfig, parts: Parts) -> dict[str, Order]:
    """Every system that these parts allow, in the order of SYSTEMS."""
    first, found = parts[FIRST], {"BM25": np.arange(len(parts[FIRST]))}
    found |= {name: by(parts[model]) for model, name in SINGLE.items() if model in parts}
    if BI in parts:
        found[THE_BAR] = by(z_scores(first) + z_scores(parts[BI]))
        found["RRF"] = by(reciprocal_ranks(first) + reciprocal_ranks(parts[BI]))
    for name, stored in (("cascade", True), (BARE, False)):
        chosen = config.for_documents(stored)
        differs = stored or any(stage.stored is not None for stage in config.stages)
        if differs and {Path(stage.model).name for stage in chosen.stages} <= set(parts):
            found[name] = cascade_order(chosen, parts)
    if "cascade" in found:
        found["large on all"] = cascade_order(without(config.for_documents(True), SMALL), parts)
    return {name: found[name] for name in SYSTEMS if name in found}
