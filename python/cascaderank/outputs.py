"""From logits to what is shown, limited and fused: scores, probabilities, the limits of a stage, the fusion."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.calibration import line
from cascaderank.config import CascadeConfig, Stage
from cascaderank.errors import ConfigError, InputError
from cascaderank.kernels import Calibration, Fusion, log_odds
from cascaderank.model import ModelSpec


def native_calibration(spec: ModelSpec) -> Calibration | None:
    """The fitted map of a model as the extension applies it; None where the manifest has none."""
    fitted = spec.calibration
    if fitted is None:
        return None
    return Calibration(fitted.low, fitted.high, fitted.offset, fitted.logits, fitted.log_odds)


def missing_calibration(stage: Stage, spec: ModelSpec) -> str:
    """What a stage lacks whose model is without a calibration, or with one that its instruction makes void."""
    if stage.instruction is None and "calibration" not in spec.manifest:
        return f"a fitted [calibration] in {spec.folder}/model.toml, which `cascaderank calibrate` makes"
    option = "" if stage.instruction is None else f" --instruction {shlex.quote(stage.instruction)}"
    return (
        f"a [calibration] in {spec.folder}/model.toml that was fitted under the instruction that this stage gives, "
        f"which `cascaderank calibrate {spec.folder}{option}` makes"
    )


def calibrations_under(
    instruction: str | None,
    config: CascadeConfig,
    specs: Sequence[ModelSpec],
    calibrations: Sequence[Calibration | None],
) -> Sequence[Calibration | None]:
    """Those that hold for a request with ``instruction`` (None: the stages' own), None in place of the others.

    Raises ``InputError`` where a stage's limit or the fusion goes by one that does not.
    """
    if instruction is None:
        return calibrations
    found: list[Calibration | None] = []
    for stage, spec, calibration in zip(config.stages, specs, calibrations, strict=True):
        holds = _holds(stage, spec, instruction)
        weighs = config.fusion == "weighted" and stage.weight > 0
        if calibration is not None and not holds and (weighs or stage.min_probability is not None):
            raise InputError(
                f"instruction: stage {spec.name!r} was calibrated under another one, and its "
                f"{'weight in the fusion' if weighs else 'min_probability'} goes by that calibration; leave the "
                "instruction out, or use a cascade without fusion 'weighted' and min_probability"
            )
        found.append(calibration if holds else None)
    return found


def void_calibration(stage: Stage, spec: ModelSpec, instruction: str | None) -> str:
    """For the trace: why a calibrated model's scores have no probability under a request's instruction, or empty."""
    if "calibration" in spec.manifest and (spec.calibration is None or not _holds(stage, spec, instruction)):
        return "no probability: the model was calibrated under another instruction"
    return ""


def _holds(stage: Stage, spec: ModelSpec, instruction: str | None) -> bool:
    """Whether a request with ``instruction`` tells the model what the stage does."""
    form = spec.input
    return instruction is None or form.query_wording(instruction) == form.query_wording(stage.instruction)


def make_fusion(
    config: CascadeConfig, specs: Sequence[ModelSpec], calibrations: Sequence[Calibration | None]
) -> Fusion:
    """Source 0 is the first pass, which a weighted sum takes only with a calibration of its own."""
    weighted = config.fusion == "weighted"
    fitted = line(1.0, 0.0) if config.first_calibration is None else line(*config.first_calibration)
    maps = [Calibration(fitted.low, fitted.high, fitted.offset, [], [])]
    for stage, spec, calibration in zip(config.stages, specs, calibrations, strict=True):
        if weighted and stage.weight > 0 and calibration is None:
            raise ConfigError(
                f"stage {spec.name!r}: fusion 'weighted' needs {missing_calibration(stage, spec)}; or use "
                "fusion = 'convex', or weight = 0 for this stage"
            )
        maps.append(calibration or Calibration(1.0, 1.0, 0.0, [], []))
    first = 0.0 if weighted and config.first_calibration is None else config.first_weight
    weights = [first, *(stage.weight for stage in config.stages)]
    return Fusion(config.fusion, config.normalisation, config.rrf_k, weights, maps)


def min_logit(stage: Stage, spec: ModelSpec, calibration: Calibration | None) -> float | None:
    """The logit at which the shown score is ``min_score`` and the probability ``min_probability``, whichever is higher:
    limits work on logits, never on squashed scores."""
    limits: list[float] = []
    if stage.min_score is not None:
        limits.append(_logit(stage.min_score, spec) if spec.output.squashed else stage.min_score)
    if stage.min_probability is not None:
        if calibration is None:
            raise ConfigError(
                f"stage {spec.name!r}: min_probability needs {missing_calibration(stage, spec)}; or give min_score"
            )
        limits.append(calibration.first_logit(_log_odds(stage.min_probability)))
    return max(limits) if limits else None


def limit_score(logit: float, spec: ModelSpec) -> float:
    """The ``min_score`` that lets through what ``logit`` does: the shown score there, strictly inside (0, 1)."""
    if not spec.output.squashed:
        return logit
    inner = (logit - spec.output.center) / spec.output.temperature
    shown = float(sigmoid(np.array([inner]))[0])
    return min(max(shown, math.nextafter(0.0, 1.0)), math.nextafter(1.0, 0.0))


def _logit(score: float, spec: ModelSpec) -> float:
    return _log_odds(score) * spec.output.temperature + spec.output.center


def _log_odds(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def sigmoid(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Of logits or log-odds ``[n]``, float64 whatever they are."""
    exact = values.astype(np.float64)
    small = np.exp(-np.abs(exact))  # never overflows
    result: NDArray[np.float64] = np.where(exact >= 0, 1.0, small) / (1.0 + small)
    return result


def shown_scores(specs: Sequence[ModelSpec], logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The models' own scores of float32 ``[m, stages]`` logits, in the same form."""
    if not any(spec.output.squashed for spec in specs):
        return logits
    scores = logits.copy()
    for number, spec in enumerate(specs):
        if spec.output.squashed:
            scores[:, number] = sigmoid((logits[:, number] - spec.output.center) / spec.output.temperature)
    return scores


def probabilities(
    calibrations: Sequence[Calibration | None], reached: NDArray[np.int64], logits: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    """By the calibration of the stage each candidate reached, float64 ``[m]``, NaN without one; None: no stage has."""
    if not any(calibrations):
        return None
    found = np.full(len(reached), np.nan)
    for number, calibration in enumerate(calibrations):
        if calibration is not None:
            places = np.flatnonzero(reached == number)
            found[places] = sigmoid(log_odds(calibration, logits[places, number]))
    return found
