"""One bench of a cascade on one collection: everything measured, as plain data that JSON can hold."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cascaderank.cascade import Cascade
from cascaderank.evaluate.cold_start import measure_cold_start, peak_mb
from cascaderank.evaluate.latency import measure_latency, summarize
from cascaderank.evaluate.quality import measure_quality
from cascaderank.evaluate.reference import compare_with_last_model
from cascaderank.evaluate.requests import Request, evenly
from cascaderank.processor import processor_flags, processor_name
from cascaderank.store import Store
from cascaderank.threads import available_cores

Progress = Callable[[int, int], None]
Bars = Callable[[str], AbstractContextManager[Progress]]
FORMAT = 1
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """``requests`` are sent in a closed loop of ``concurrency`` callers; ``reference_queries`` 0 leaves the reference
    out; ``quality`` and ``cold_start`` may be left out too."""

    requests: int = 100
    concurrency: int = 1
    deadline_ms: float | None = None
    quality: bool = True
    cold_start: bool = True
    reference_queries: int = 0


def run_bench(
    cascade: Cascade,
    cascade_file: Path | None,
    requests: Sequence[Request],
    qrels: Mapping[str, Mapping[str, int]],
    store: Store | None,
    settings: BenchSettings,
    bars: Bars | None = None,
) -> dict[str, Any]:
    """Latency, then quality, the reference and the cold start, so that nothing else is loaded while latency is taken.

    ``bars(text)`` gives a context whose value is called with (done, total). The result's ``requests`` hold each
    request's time and trace.
    """
    bar = bars or _no_bar
    with bar("requests") as report:
        run = measure_latency(
            cascade,
            requests,
            store,
            repeats=settings.requests,
            concurrency=settings.concurrency,
            deadline_ms=settings.deadline_ms,
            progress=report,
        )
    found: dict[str, Any] = {
        "format": FORMAT,
        "machine": describe_machine(),
        "cascade": describe_cascade(cascade),
        "settings": {
            **asdict(settings),
            "queries": len(requests),
            "candidates": max(len(request.ids) for request in requests),
            "from_store": store is not None,
        },
        "latency": summarize(run),
        "peak_mb": peak_mb(),
    }
    if settings.quality:
        with bar("quality per stage: queries") as report:
            points = measure_quality(cascade, requests, qrels, store, report)
        found["quality"] = [point.to_dict(points[0]) for point in points]
    if settings.reference_queries:
        with bar("the last model on all candidates: queries") as report:
            chosen = evenly(requests, settings.reference_queries)
            found["reference"] = compare_with_last_model(cascade, chosen, qrels, store, report).to_dict()
    if settings.cold_start:
        with bar("cold start"):
            found["cold_start"] = measure_cold_start(cascade_file, requests[0], store)
    found["requests"] = [
        {"query_id": timing.query_id, "ms": timing.ms, "degraded": timing.degraded, "trace": timing.trace.to_dict()}
        for timing in run.timings
    ]
    return found


def describe_machine() -> dict[str, Any]:
    """What a reader must know to compare figures; none of it identifies the machine."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor_name(),
        "flags": list(processor_flags()),
        "cores": available_cores(),
        "python": platform.python_version(),
        "onnxruntime": next(
            filter(None, map(_version, ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"))), None
        ),
        "numpy": _version("numpy"),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe_cascade(cascade: Cascade) -> dict[str, Any]:
    """Stages, models by name and digest, fusion."""
    config = cascade.config
    return {
        "fusion": config.fusion,
        "deadline_ms": config.deadline_ms,
        "stages": [
            {
                "name": name,
                "keep": stage.keep,
                "weight": stage.weight,
                "model": spec.name,
                "kind": spec.kind,
                "precision": spec.precision,
                "digest": spec.digest,
                "provider": provider,
            }
            for name, stage, spec, provider in zip(
                cascade.names, config.stages, cascade.models, cascade.providers, strict=True
            )
        ],
    }


def _no_bar(text: str) -> AbstractContextManager[Progress]:
    del text
    return nullcontext(lambda done, total: None)
