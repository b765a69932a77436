"""W3C trace context always; OpenTelemetry spans where its API is installed and a provider was configured."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from cascaderank.errors import MissingExtraError
from cascaderank.results import Ranking

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_ATTRIBUTES = (
    "kind", "provider", "candidates_in", "scored", "candidates_out", "tokens", "micro_batches",
    "truncated_documents", "model_ms", "note",
)  # fmt: skip
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SPANS = find_spec("opentelemetry") is not None and find_spec("opentelemetry.trace") is not None


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A request's place in its trace: the caller's trace id, or a new one, and a span id of ours."""

    trace_id: str
    span_id: str
    flags: str

    @property
    def traceparent(self) -> str:
        """As the header says it, for whoever continues the trace."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


_SAID: ContextVar[TraceContext | None] = ContextVar("said", default=None)


def trace_context(header: str | None) -> TraceContext:
    """The caller's trace if ``traceparent`` is well-formed (a malformed one is ignored, as the recommendation says),
    else a new one that is not sampled."""
    found = _PARENT.fullmatch(header) if header else None
    span_id = secrets.token_hex(8)
    if found is None:
        return TraceContext(secrets.token_hex(16), span_id, "00")
    return TraceContext(found[1], span_id, found[3])


@dataclass(frozen=True, slots=True)
class Done:
    """One request as its span tells it: the cascade it named (empty where it got none), HTTP's status, when it began in
    nanoseconds since the epoch, how long it took, its ranking or why there is none."""

    cascade: str
    status: int
    begun_ns: int
    elapsed_s: float
    ranking: Ranking | None = None
    error: str = ""


def record_spans(headers: Mapping[str, str], own: TraceContext, done: Done) -> None:
    """A span for the request and one per stage, made afterwards from the trace: measuring costs nothing while ranking.
    A request without a ranking has a span without stages, which says its status and why; it is marked as an error
    where the fault is the server's, as OpenTelemetry's conventions for HTTP servers have it.

    ``own`` is what the answer and the log say of it: with ``configure``, the span has these ids. Does nothing without
    OpenTelemetry, or with its API alone, whose tracers record nothing.
    """
    if not _SPANS:
        return
    from opentelemetry import propagate, trace

    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return  # nobody configured one
    tracer = trace.get_tracer("cascaderank")
    parent = propagate.extract(headers)
    said = _SAID.set(own)
    span = tracer.start_span("rerank", parent, trace.SpanKind.SERVER, start_time=done.begun_ns)
    _SAID.reset(said)
    ended_ns = done.begun_ns + int(done.elapsed_s * 1e9)  # not the clock again, which may have been set meanwhile
    if span.is_recording():
        span.set_attributes({"cascaderank.cascade": done.cascade, "http.response.status_code": done.status})
        if done.ranking is None:
            span.set_attributes({"error.type": str(done.status), "cascaderank.error": done.error})
            if done.status >= 500:
                span.set_status(trace.StatusCode.ERROR, done.error)
        else:
            found = done.ranking.trace
            span.set_attributes({"cascaderank.degraded": done.ranking.degraded, "cascaderank.hits": len(done.ranking)})
            inside = trace.set_span_in_context(span, parent)
            at = ended_ns - int(found.total_ms * 1e6) + int(found.read_ms * 1e6)
            for stage in found.stages:
                child = tracer.start_span(f"stage {stage.name}", inside, start_time=at)
                child.set_attributes(_attributes(stage))
                at += int(stage.total_ms * 1e6)
                child.end(at)
    span.end(ended_ns)


def _attributes(stage: Any) -> dict[str, Any]:
    return {f"cascaderank.stage.{name}": getattr(stage, name) for name in _ATTRIBUTES}


def configure() -> None:
    """Send spans by OTLP over HTTP where the standard variables ``OTEL_EXPORTER_OTLP_ENDPOINT`` or
    ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` ask for it; all others (``OTEL_SERVICE_NAME``, headers, sampler, ...) apply.

    Does nothing where a provider is configured already, as by ``opentelemetry-instrument``. Raises
    ``MissingExtraError`` without the extra ``otel``.
    """
    asking = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if asking is None:
        return
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        if isinstance(trace.get_tracer_provider(), TracerProvider):
            return  # it has an exporter of its own
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise MissingExtraError(
            f"{asking} asks for spans by OTLP, but {error.name} is not installed; pip install 'cascaderank[otel]', or "
            "unset it"
        ) from error

    class SaidIds(RandomIdGenerator):
        """The ids that the answer's ``traceparent`` has, for the span that it names."""

        def generate_span_id(self) -> int:
            said = _SAID.get()
            return super().generate_span_id() if said is None else int(said.span_id, 16)

        def generate_trace_id(self) -> int:
            said = _SAID.get()
            return super().generate_trace_id() if said is None else int(said.trace_id, 16)

    resource = Resource.create()
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        resource = resource.merge(Resource({SERVICE_NAME: "cascaderank"}))
    provider = TracerProvider(resource=resource, id_generator=SaidIds())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
