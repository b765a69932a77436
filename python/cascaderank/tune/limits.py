"""The limits of the cascade file that was given: they hold where that file is reported on, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cascaderank.config import CascadeConfig
from cascaderank.kernels import Choices
from cascaderank.model import ModelSpec
from cascaderank.outputs import min_logit, native_calibration

_LIMITS = ("min_score", "min_probability", "margin", "dynamic")


def file_choice(config: CascadeConfig, specs: Sequence[ModelSpec], most: int) -> Choices:
    """The file's own cut-offs, of ``most`` candidates at most, with its limits: one row, what ``Cascade.rank`` does."""
    lows = [min_logit(stage, spec, native_calibration(spec)) for stage, spec in zip(config.stages, specs, strict=True)]
    dynamics = [stage.dynamic for stage in config.stages]

    def row(values: Sequence[float | None]) -> np.typing.NDArray[np.float32]:
        return np.array([[np.nan if value is None else value for value in values]], np.float32)

    return Choices(
        np.array([[min(stage.keep, most) for stage in config.stages]], np.int64),
        row(lows),
        row([stage.margin for stage in config.stages]),
        row([None if dynamic is None else dynamic.mass for dynamic in dynamics]),
        np.array([1.0 if dynamic is None else dynamic.temperature for dynamic in dynamics], np.float32),
    )


def describe_limits(config: CascadeConfig, names: Sequence[str]) -> list[str]:
    """``"ce: margin, dynamic"`` for every stage that has limits beside ``keep``."""
    found = []
    for name, stage in zip(names, config.stages, strict=True):
        own = [limit for limit in _LIMITS if getattr(stage, limit) is not None]
        if own:
            found.append(f"{name}: {', '.join(own)}")
    return found


def limit_warnings(limits: Sequence[str]) -> list[str]:
    """What becomes of them, where there are any."""
    if not limits:
        return []
    return [
        f"limits of the cascade file ({'; '.join(limits)}) count in its own row alone; cut-offs are explored, "
        "certified and written without them, and per_query.toml has the only rules per query that were tried"
    ]
