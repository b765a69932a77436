"""What an operator sees: metrics, logs, request ids, traces."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from dataclasses import replace
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import Response

from cascaderank.serve import Service, Settings, create_app
from cascaderank.serve.logs import JsonFormatter
from cascaderank.serve.tracing import trace_context
from serving import DOCUMENTS, QUERY, inside, post

BODY = {"query": QUERY, "documents": DOCUMENTS}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


def test_metrics(settings: Settings) -> None:
    async def work(client: httpx.AsyncClient, _: Service) -> str:
        for body in (BODY, BODY, {"query": "red", "documents": ["red " * 60]}, {"query": "red"}):
            await client.post("/v2/rerank", json=body)
        return (await client.get("/metrics")).text

    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(inside(settings, work))
        for sample in family.samples
    }
    assert found["cascaderank_requests_total", "200", "cohere-v2", "tiny"] == 3
    assert found["cascaderank_requests_total", "", "400", "cohere-v2"] == 1
    assert found["cascaderank_stage_seconds_count", "bi", "tiny"] == 3
    assert found["cascaderank_stage_candidates_in_total", "bi", "tiny"] == 13
    assert found["cascaderank_stage_candidates_out_total", "bi", "tiny"] == 9
    assert found["cascaderank_stage_candidates_scored_total", "ce", "tiny"] == 9
    assert found["cascaderank_stage_truncated_documents_total", "ce", "tiny"] == 1
    assert found["cascaderank_request_seconds_count", "tiny"] == 3
    assert found["cascaderank_queue_seconds_count", "tiny"] == 3
    assert found["cascaderank_in_flight", "tiny"] == 0
    assert found["cascaderank_queue_limit", "tiny"] == 64
    assert found["cascaderank_swaps_total", "switched", "tiny"] == 1
    assert found["cascaderank_generation", "tiny"] == 1
    assert found["cascaderank_token_cache_hits_total", "tiny"] == 0  # native tokenizers have no cache
    assert ("process_resident_memory_bytes",) in found


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (TRACEPARENT, True),
        (f"cc-{TRACE}-{PARENT}-01-more", True),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        ("", False),
        ("x" * 10_000, False),
    ],
)
def test_trace_context(header: str, kept: bool) -> None:
    found = trace_context(header)
    assert (found.trace_id == TRACE) is kept
    assert found.span_id != PARENT
    assert trace_context(found.traceparent).trace_id == found.trace_id


def test_the_answer_names_request_and_trace(settings: Settings) -> None:
    response = post(settings, "/v2/rerank", BODY, {"traceparent": TRACEPARENT, "x-request-id": "a-1"})
    assert response.headers["x-request-id"] == "a-1"
    assert response.headers["traceparent"].startswith(f"00-{TRACE}-")
    made = post(settings, "/v2/rerank", BODY, {"x-request-id": "with space\tand more"}).headers["x-request-id"]
    assert len(made) == 32


def test_an_error_that_nobody_foresaw_has_the_requests_id(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The application with a route more, whose endpoint has an error in it."""

    async def broken(request: Request) -> Response:
        raise KeyError("nobody foresaw it")

    async def whole() -> httpx.Response:
        app = create_app(Service(settings))
        app.add_route("/broken", broken)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get("/broken", headers={"x-request-id": "a-3", "traceparent": TRACEPARENT})

    response = asyncio.run(whole())
    assert response.status_code == 500
    assert response.headers["x-request-id"] == "a-3"
    assert response.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert "internal error" in response.json()["message"]
    assert "nobody foresaw it" not in response.text
    (record,) = [record for record in caplog.records if record.getMessage() == "failed"]
    assert vars(record)["request_id"] == "a-3"
    assert record.exc_info


def test_log_records_are_json_lines() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    log = logging.Logger("cascaderank.test")
    log.addHandler(handler)
    log.warning("text with \n and %s", "é", extra={"cascade": "a", "kind": ValueError("b")})
    try:
        raise KeyError("x")
    except KeyError:
        log.exception("failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["level"], first["message"], first["cascade"], first["kind"]) == (
        "warning",
        "text with \n and é",
        "a",
        "b",
    )
    assert first["time"].endswith("+00:00")
    assert "KeyError" in second["exception"]


def test_each_request_is_one_log_line(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cascaderank.access")
    post(settings, "/v2/rerank", BODY, {"traceparent": TRACEPARENT, "x-request-id": "a-2"})
    (record,) = [record for record in caplog.records if record.name == "cascaderank.access"]
    fields: dict[str, Any] = vars(record)
    expected = {"request_id": "a-2", "trace_id": TRACE, "status": 200, "path": "/v2/rerank", "documents": 6}
    assert {key: fields[key] for key in expected} == expected
    assert not any(word in record.getMessage() for word in DOCUMENTS)  # texts are the users' own


@pytest.fixture(scope="module")
def exported() -> InMemorySpanExporter:
    """Where the spans of this process go; a provider is set once in a process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def test_spans_per_stage_under_the_callers_trace(settings: Settings, exported: InMemorySpanExporter) -> None:
    exported.clear()
    post(settings, "/v2/rerank", BODY, {"traceparent": TRACEPARENT})
    spans = {span.name: span for span in exported.get_finished_spans()}
    assert set(spans) == {"rerank", "stage bi", "stage ce"}
    whole = spans["rerank"]
    assert whole.parent is not None
    assert f"{whole.parent.span_id:016x}" == PARENT
    for span in spans.values():
        assert f"{span.context.trace_id:032x}" == TRACE
    first, second = spans["stage bi"], spans["stage ce"]
    assert first.parent == second.parent == whole.context
    assert (
        whole.start_time <= first.start_time < first.end_time <= second.start_time < second.end_time <= whole.end_time
    )
    assert first.attributes is not None
    assert first.attributes["cascaderank.stage.candidates_in"] == 6
    assert whole.attributes is not None
    assert whole.attributes["http.response.status_code"] == 200
    assert "error.type" not in whole.attributes


def test_a_request_without_a_ranking_is_a_span_that_says_why(
    settings: Settings, slow_settings: Settings, exported: InMemorySpanExporter
) -> None:
    exported.clear()
    many = {"query": QUERY, "documents": ["red cat"] * 60}
    post(settings, "/v2/rerank", b"no JSON", {"traceparent": TRACEPARENT})
    post(settings, "/v2/rerank", {**BODY, "model": "another"})
    post(replace(settings, api_keys=("one",)), "/v2/rerank", BODY)
    post(replace(slow_settings, timeout_s=0.02), "/v2/rerank", many)

    async def crowd(client: httpx.AsyncClient, service: Service) -> None:
        first = asyncio.create_task(client.post("/v2/rerank", json=many))
        while not service.deployments["slow"].under_way:
            await asyncio.sleep(0.001)
        assert (await client.post("/v2/rerank", json=many)).status_code == 429
        await first

    inside(replace(slow_settings, max_queue=1), crowd)
    spans = [span for span in exported.get_finished_spans() if span.name == "rerank"]
    found = [span.attributes or {} for span in spans]
    assert [one["http.response.status_code"] for one in found] == [400, 404, 401, 504, 429, 200]
    assert [one.get("error.type") for one in found] == ["400", "404", "401", "504", "429", None]
    assert "not valid JSON" in str(found[0]["cascaderank.error"])
    assert [span.status.status_code.name for span in spans] == ["UNSET"] * 3 + ["ERROR"] + ["UNSET"] * 2
    assert f"{spans[0].context.trace_id:032x}" == TRACE
    assert not any(
        span.name.startswith("stage") and span.parent != spans[-1].context for span in exported.get_finished_spans()
    )
