"""Spans as an OpenTelemetry collector gets them: by OTLP over HTTP, from the real program."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from serving import DOCUMENTS, QUERY, program

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@contextmanager
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Its address, and the path and body of what it was sent."""
    received: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_gets_the_spans_below_the_callers_own(file: Path) -> None:
    """What is sent when the program ends is all of it; ids are those of the answer."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="extra otel: no OTLP exporter")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    body = {"query": QUERY, "documents": DOCUMENTS}
    with collector() as (url, received):
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
        with program(f"tiny={file}", "--watch-s", "0", environment=environment) as served:
            under = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            first = httpx.post(f"{served.url}/v2/rerank", json=body, headers=under)
            second = httpx.post(f"{served.url}/v2/rerank", json=body)
    assert {path for path, _ in received} == {"/v1/traces"}
    spans, services = [], set()
    for _, content in received:
        for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
            services |= {one.value.string_value for one in resource.resource.attributes if one.key == "service.name"}
            spans += [span for scope in resource.scope_spans for span in scope.spans]
    assert services == {"cascaderank"}
    assert sorted(span.name for span in spans) == ["rerank"] * 2 + ["stage bi"] * 2 + ["stage ce"] * 2
    for response, parent in ((first, PARENT), (second, "")):
        _, trace_id, span_id, _ = response.headers["traceparent"].split("-")
        mine = {span.name: span for span in spans if span.trace_id.hex() == trace_id}
        assert (mine["rerank"].span_id.hex(), mine["rerank"].parent_span_id.hex()) == (span_id, parent)
        assert mine["stage bi"].parent_span_id == mine["stage ce"].parent_span_id == mine["rerank"].span_id
    assert first.headers["traceparent"].startswith(f"00-{TRACE}-")


def test_a_collector_that_is_not_there_costs_no_request(file: Path) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="extra otel: no OTLP exporter")
    with collector() as (url, _):
        pass
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_SCHEDULE_DELAY": "50",
    }  # fmt: skip
    with program(f"tiny={file}", "--watch-s", "0", environment=environment) as served:
        for _ in range(5):
            body = {"query": QUERY, "documents": DOCUMENTS}
            assert httpx.post(f"{served.url}/v2/rerank", json=body).status_code == 200
        served.wait_for("Failed to export spans batch due to timeout, max retries or shutdown.")
    assert served.process.returncode == 0


WITHOUT = """
import sys
sys.modules["opentelemetry.exporter.otlp.proto.http.trace_exporter"] = None
from cascaderank.serve import tracing
tracing.configure()
"""


def test_the_missing_exporter_is_named() -> None:
    """In a process of its own: here another test may have configured a provider, which is then left alone."""
    environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    said = done.stderr.splitlines()[-1]
    assert said.startswith("cascaderank.errors.MissingExtraError: OTEL_EXPORTER_OTLP_ENDPOINT asks for spans"), done
    assert "pip install 'cascaderank[otel]'" in said
