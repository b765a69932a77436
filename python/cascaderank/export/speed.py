"""How long a row takes in another precision, beside fp32, on this machine."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cascaderank.export.engine import Engine
from cascaderank.export.extras import require
from cascaderank.export.pairs import SENTENCE
from cascaderank.export.report import Ratio, Speed
from cascaderank.processor import processor_name
from cascaderank.session import Cancellation

Int64 = NDArray[np.int64]

TOKENS = (64, 256)
ROUNDS, LEAST, WARM = 30, 8, 3
LIMIT_S = 12.0  # per length; fewer rounds, but at least LEAST, where a row takes long


def measure_speed(fp32: Path, folder: Path) -> Speed:
    """fp32's time over ``folder``'s: one row, one thread, in turn in one run; who goes first alternates.

    Lengths are ``TOKENS``, or what the window holds of them; a smaller window is measured whole and halved.
    """
    with Engine(fp32, workers=1) as before, Engine(folder, workers=1) as after:
        longest = before.spec.max_length
        short = TOKENS[0] if longest > TOKENS[0] else max(longest // 2, 1)
        lengths = (short, min(TOKENS[1], longest))
        ratios = tuple(_ratio(before, after, count) for count in lengths)
    return Speed(processor_name() or "unknown processor", require("onnxruntime").__version__, ratios)


def _ratio(before: Engine, after: Engine, tokens: int) -> Ratio:
    row = make_row(before, tokens)
    options = Cancellation().options()
    times: list[tuple[float, float]] = []
    with before.part.session.lease() as exact, after.part.session.lease() as changed:
        started = time.perf_counter()
        for turn in range(WARM + ROUNDS):
            if turn >= WARM + LEAST and time.perf_counter() - started > LIMIT_S:
                break
            pair = [0.0, 0.0]
            for place in (0, 1) if turn % 2 else (1, 0):
                begun = time.perf_counter()
                (exact, changed)[place].run(row, options)
                pair[place] = time.perf_counter() - begun
            times.append((pair[0], pair[1]))
    measured = np.array(times[WARM:])
    lower, median, upper = np.quantile(measured[:, 0] / measured[:, 1], (0.25, 0.5, 0.75)).tolist()
    return Ratio(tokens, len(measured), lower, median, upper)


def make_row(engine: Engine, tokens: int) -> dict[str, Int64]:
    """One row of ordinary words by role, int64 ``[1, tokens]`` each."""
    encoded = engine.part.tokenizer.encode(SENTENCE)
    ids = np.resize(np.asarray(encoded, np.int64), (1, tokens))
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
        "position_ids": np.arange(tokens, dtype=np.int64)[np.newaxis] + engine.spec.input.position_offset,
    }
