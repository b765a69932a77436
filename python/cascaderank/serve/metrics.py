"""Prometheus metrics of one service, in a registry of its own. docs/serve.md lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cascaderank.results import Ranking

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters and histograms; names begin with ``cascaderank_``, times are in seconds."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series each, which nobody reads
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"cascaderank_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            return Histogram(f"cascaderank_{name}", text, labels, registry=registry, buckets=_SECONDS)

        stage = ("cascade", "stage")
        self.requests = counter("requests", "Ranking requests by outcome", "cascade", "api", "status")
        self.rejected = counter("rejected", "Requests refused because the queue was full", "cascade")
        self.disconnected = counter("disconnected", "Requests whose client went away before the answer", "cascade")
        self.degraded = counter("degraded", "Answers in which work was left out to meet the deadline", "cascade")
        self.request_s = histogram("request_seconds", "Body read to answer written", "cascade")
        self.queue_s = histogram("queue_seconds", "Waiting in this process, outside the cascade", "cascade")
        self.stage_s = histogram("stage_seconds", "One stage of one request", *stage)
        self.candidates_in = counter("stage_candidates_in", "Candidates that entered a stage", *stage)
        self.candidates_out = counter("stage_candidates_out", "Candidates that left a stage", *stage)
        self.scored = counter("stage_candidates_scored", "Candidates that a stage scored", *stage)
        self.tokens = counter("stage_tokens", "Tokens a stage's model read, padding excluded", *stage)
        self.truncated = counter("stage_truncated_documents", "Documents that were cut", *stage)
        self.swaps = counter("swaps", "Generations put in place, rolled back or refused", "cascade", "outcome")
        self.generation = Gauge(
            "cascaderank_generation", "Number of the one that serves", ["cascade"], registry=registry
        )
        self._stages: dict[tuple[str, str], _StageMetrics] = {}

    def watch(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Read these when asked for, rather than counting along."""
        self.registry.register(_Read(collect))

    def answered(self, cascade: str, ranking: Ranking, elapsed_s: float) -> None:
        """One answered request."""
        trace = ranking.trace
        self.request_s.labels(cascade).observe(elapsed_s)
        self.queue_s.labels(cascade).observe(max(0.0, elapsed_s - trace.total_ms / 1e3))
        if ranking.reasons:
            self.degraded.labels(cascade).inc()
        for stage in trace.stages:
            kept = self._stages.get((cascade, stage.name))
            if kept is None:
                kept = self._stages[cascade, stage.name] = _StageMetrics(self, cascade, stage.name)
            kept.seconds.observe(stage.total_ms / 1e3)
            kept.candidates_in.inc(stage.candidates_in)
            kept.candidates_out.inc(stage.candidates_out)
            kept.scored.inc(stage.scored)
            kept.tokens.inc(stage.tokens)
            kept.truncated.inc(stage.truncated_documents)

    def text(self) -> bytes:
        """What ``/metrics`` says."""
        return generate_latest(self.registry)


class _StageMetrics:
    """One stage's series, looked up once: looking six of them up for every stage costs more than counting."""

    __slots__ = ("candidates_in", "candidates_out", "scored", "seconds", "tokens", "truncated")

    def __init__(self, metrics: Metrics, cascade: str, stage: str) -> None:
        self.seconds = metrics.stage_s.labels(cascade, stage)
        self.candidates_in = metrics.candidates_in.labels(cascade, stage)
        self.candidates_out = metrics.candidates_out.labels(cascade, stage)
        self.scored = metrics.scored.labels(cascade, stage)
        self.tokens = metrics.tokens.labels(cascade, stage)
        self.truncated = metrics.truncated.labels(cascade, stage)


class _Read(Collector):
    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        yield from self._read()


def gauge(name: str, text: str, values: dict[str, float]) -> Metric:
    """A gauge by cascade, for ``Metrics.watch``."""
    family = GaugeMetricFamily(f"cascaderank_{name}", text, labels=["cascade"])
    for cascade, value in values.items():
        family.add_metric([cascade], value)
    return family


def total(name: str, text: str, values: dict[str, float]) -> Metric:
    """A counter by cascade, for ``Metrics.watch``."""
    family = CounterMetricFamily(f"cascaderank_{name}", text, labels=["cascade"])
    for cascade, value in values.items():
        family.add_metric([cascade], value)
    return family
