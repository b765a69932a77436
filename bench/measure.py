"""What the scripts of this folder share: alternating timings, what machine they ran on, tables and JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    high: float

    def scaled(self, factor: float) -> Spread:
        return Spread(self.median * factor, self.low * factor, self.high * factor)


def spread(values: Sequence[float]) -> Spread:
    low, median, high = np.quantile(np.asarray(values, np.float64), (0.25, 0.5, 0.75)).tolist()
    return Spread(median, low, high)


def alternate(
    contenders: Mapping[str, Callable[[], object]],
    repetitions: int,
    *,
    warm_up: int = 1,
    calls: int = 1,
    rest_s: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of one call of each contender, ``repetitions`` times round all of them.

    Each round starts with another contender, so that none always runs in the wake of the same neighbour. ``calls`` in a
    row are timed together where one is too short for the clock; the result is their mean. ``rest_s`` of sleep precede
    each measurement. ``clock`` may be ``time.process_time``: what all threads of this process computed, whoever else
    was on the machine.
    """
    names = list(contenders)
    for name in names:
        for _ in range(warm_up):
            contenders[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repetition in range(repetitions):
        first = repetition % len(names)
        for name in names[first:] + names[:first]:
            call = contenders[name]
            time.sleep(rest_s)
            started = clock()
            for _ in range(calls):
                call()
            seconds[name].append((clock() - started) / calls)
    return seconds


def speedup(seconds: Mapping[str, Sequence[float]], name: str, base: str) -> Spread:
    """How many times faster ``name`` is than ``base``: the ratio within each round, so that a busy minute hits both."""
    return spread([slow / fast for slow, fast in zip(seconds[base], seconds[name], strict=True)])


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, load average and versions: what a figure is worth nothing without."""
    model, flags = platform.processor() or platform.machine(), []
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        fields = dict(
            (part.strip() for part in line.split(":", 1)) for line in cpuinfo.read_text().splitlines() if ":" in line
        )
        model = fields.get("model name", model)
        present = set(fields.get("flags", "").split())
        flags = [flag for flag in _FLAGS if flag in present]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = ("numpy", "onnxruntime", "onnxruntime-gpu", "tokenizers", "torch", "sentence-transformers", "cascaderank")
    return {
        "processor": model,
        "flags": flags,
        "cores": cores,
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: found for name in names if (found := _version(name))},
    }


def describe(found: Mapping[str, Any]) -> str:
    """One line for the head of a table."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    flags = ", ".join(found["flags"])
    return (
        f"{found['processor']} ({flags}), {found['cores']} cores, load {found['load_average']:.2f}; "
        f"Python {found['python']}, {versions}"
    )


def table(rows: Sequence[Sequence[str]], right: Container[int] | None = None) -> str:
    """Aligned text; the first row is the head. ``right``: columns that go right, by default all but the first."""
    columns = range(len(rows[0]))
    widths = [max(len(row[column]) for row in rows) for column in columns]
    aligned = [column > 0 if right is None else column in right for column in columns]
    lines = [
        "  ".join(
            cell.rjust(width) if goes_right else cell.ljust(width)
            for cell, width, goes_right in zip(row, widths, aligned, strict=True)
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def bar(name: str, reached: float, wanted: float, *, at_least: bool = True) -> dict[str, Any]:
    """One promise and whether it was kept in this run."""
    met = reached >= wanted if at_least else reached <= wanted
    return {"bar": name, "wanted": wanted, "reached": reached, "at_least": at_least, "met": met}


def bar_line(entry: Mapping[str, Any]) -> str:
    sign = ">=" if entry["at_least"] else "<="
    verdict = "met" if entry["met"] else "NOT met"
    return f"{verdict:8}{entry['bar']}: {entry['reached']:.3g} (bar {sign} {entry['wanted']:g})"


def write_json(path: str | None, result: Mapping[str, Any]) -> None:
    if path is None:
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written: {target}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
