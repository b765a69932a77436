"""Limits: bodies, candidates, keys, the queue, time; and that a client that left costs nothing more."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cascaderank.errors import ConfigError, OverloadedError
from cascaderank.serve import Service, Settings, create_app
from cascaderank.serve.failures import failure_of
from graphs import make_failing
from serving import DOCUMENTS, QUERY, inside, post

BODY = {"query": QUERY, "documents": DOCUMENTS}
MANY = {"query": QUERY, "documents": ["red cat"] * 60}


def test_too_many_documents(settings: Settings) -> None:
    response = post(replace(settings, max_documents=5), "/v2/rerank", BODY)
    assert response.status_code == 413
    assert "at most 5" in response.json()["message"]


def test_too_large_a_body(settings: Settings) -> None:
    for headers in ({}, {"content-length": str(1 << 40)}):
        response = post(replace(settings, max_body_bytes=50), "/rerank", {"query": "a", "texts": ["b" * 60]}, headers)
        assert response.status_code == 413
        assert response.json()["error_type"] == "Validation"


def test_bodies_that_are_being_read_are_bounded_together(settings: Settings) -> None:
    """Most of one body is there, another one is too much; what clients only announce takes no room, and what is read or
    refused gives its room back."""
    content = json.dumps({"query": QUERY, "documents": ["red " * 100] * 2}).encode()

    async def work(client: httpx.AsyncClient, service: Service) -> None:
        go_on, later = asyncio.Event(), asyncio.Event()

        async def held() -> AsyncIterator[bytes]:
            yield content[:700]
            await go_on.wait()
            yield content[700:]

        async def announced() -> AsyncIterator[bytes]:
            await later.wait()
            yield content

        large = {"content-length": str(len(content))}
        empty = [asyncio.create_task(client.post("/v2/rerank", content=announced(), headers=large)) for _ in range(3)]
        half = asyncio.create_task(client.post("/v2/rerank", content=held(), headers=large))
        while service.room.used < 700:
            await asyncio.sleep(0.001)
        refused = await client.post("/rerank", content=content)
        assert refused.status_code == 429
        assert refused.json()["error_type"] == "Overloaded"
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["connection"] == "close"
        assert service.room.used == 700
        go_on.set()
        assert (await half).status_code == 200
        assert service.room.used == 0
        later.set()
        assert 200 in [(await task).status_code for task in empty]
        assert service.room.used == 0
        assert (await client.post("/v2/rerank", content=b"no JSON")).status_code == 400
        assert service.room.used == 0

    assert 700 < len(content) < 1000
    inside(replace(settings, max_body_bytes=1000, max_reading_bytes=1200), work)
    with pytest.raises(ConfigError, match="max_reading_bytes is 999, but one body may have 1000"):
        replace(settings, max_body_bytes=1000, max_reading_bytes=999)


def test_a_compressed_body_is_refused(settings: Settings) -> None:
    assert post(settings, "/v2/rerank", BODY, {"content-encoding": "gzip"}).status_code == 415


def test_keys(settings: Settings) -> None:
    async def work(client: httpx.AsyncClient, _: Service) -> list[int]:
        heads = [
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": "Basic one"},
            {"authorization": "Bearer two"},
            {"authorization": "bearer one"},
            {"x-api-key": "one"},
        ]
        found = [(await client.post("/v2/rerank", json=BODY, headers=head)).status_code for head in heads]
        refused = await client.post("/v2/rerank", json=BODY)
        assert refused.headers["www-authenticate"] == "Bearer"  # RFC 9110, 11.6.1
        return [*found, (await client.get("/ready")).status_code]

    assert inside(replace(settings, api_keys=("one", "two")), work) == [401, 401, 401, 200, 200, 200, 200]


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(slow_settings: Settings) -> None:
    """Those let in are answered, the rest gets 429 in the shape of the API asked, counted."""

    async def work(client: httpx.AsyncClient, service: Service) -> None:
        asked = [asyncio.create_task(client.post("/v2/rerank", json=MANY)) for _ in range(2)]
        while service.deployments["slow"].under_way < 2:
            await asyncio.sleep(0.001)
        begun = asyncio.get_running_loop().time()
        refused = await client.post("/rerank", json={"query": QUERY, "texts": ["red"]})
        assert asyncio.get_running_loop().time() - begun < 0.5
        assert refused.status_code == 429
        assert refused.json()["error_type"] == "Overloaded"
        assert int(refused.headers["retry-after"]) >= 1
        assert [(await task).status_code for task in asked] == [200, 200]
        assert 'cascaderank_rejected_total{cascade="slow"} 1.0' in service.metrics.text().decode()
        assert (await client.post("/v2/rerank", json=BODY)).status_code == 200

    inside(replace(slow_settings, max_queue=2), work)


def test_the_engines_own_full_queue_is_said_the_same_way() -> None:
    found = failure_of(OverloadedError("full", retry_after_s=2.4))
    assert (found.status, found.kind, found.headers) == (429, "Overloaded", {"retry-after": "3"})


def test_a_deadline_gives_less_in_time_and_says_so(slow_settings: Settings) -> None:
    for body, headers in (({**MANY, "deadline_ms": 30}, {}), (MANY, {"x-deadline-ms": "30"})):
        response = post(slow_settings, "/v2/rerank", body, headers)
        assert response.status_code == 200
        assert response.headers["x-degraded"] == "true"
        assert "deadline" in response.json()["meta"]["warnings"][0]
        assert len(response.json()["results"]) == 60
    for value in ("0", "-1", "nan", "soon"):
        assert post(slow_settings, "/v2/rerank", BODY, {"x-deadline-ms": value}).status_code == 400


@pytest.mark.parametrize(
    ("file_ms", "setting_ms", "timeout_s", "degraded"),
    [
        (30.0, 60_000.0, 60.0, True),  # the file's, not the setting's
        (60_000.0, 30.0, 60.0, False),
        (None, 30.0, 60.0, True),
        (60_000.0, None, 1.0, True),  # in time for whoever waits no longer
    ],
)
def test_a_cascade_files_deadline_comes_before_the_settings_and_none_is_later_than_the_timeout(
    slow: Path, tmp_path: Path, file_ms: float | None, setting_ms: float | None, timeout_s: float, degraded: bool
) -> None:
    said = "" if file_ms is None else f"deadline_ms = {file_ms}\n"
    path = tmp_path / "slow.toml"
    path.write_text(
        f'[cascade]\nworkers = 1\n{said}[[stage]]\nmodel = "{slow}"\nkeep = 100\nmax_rows = 1\n', encoding="utf-8"
    )
    settings = Settings(cascades={"slow": path}, watch_s=0.0, deadline_ms=setting_ms, timeout_s=timeout_s)
    body = {"query": QUERY, "documents": ["red cat"] * (300 if timeout_s == 1.0 else 60)}
    response = post(settings, "/v2/rerank", body)
    assert response.status_code == 200
    assert ("x-degraded" in response.headers) is degraded


def test_a_deadline_beyond_all_time_is_the_servers_own(settings: Settings) -> None:
    assert post(settings, "/v2/rerank", {**BODY, "deadline_ms": 1e300}).status_code == 200


def test_no_answer_in_time(slow_settings: Settings) -> None:
    response = post(replace(slow_settings, timeout_s=0.02), "/v2/rerank", MANY)
    assert response.status_code == 504


def test_a_run_that_fails_is_the_servers_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """500 and not 503, which clients and balancers would try again; logged with its traceback. The folder of the
    private copy, which is gone, is in no answer."""
    caplog.set_level(logging.INFO, "cascaderank.serve")
    path = tmp_path / "failing.toml"
    path.write_text('[[stage]]\nmodel = "failing"\nkeep = 6\n', encoding="utf-8")
    make_failing(tmp_path / "failing", "fish")

    async def work(client: httpx.AsyncClient, _: Service) -> None:
        failed = await client.post("/v2/rerank", json=BODY)
        assert failed.status_code == 500
        assert "retry-after" not in failed.headers
        assert "stage 'failing' on cpu: a run of the model failed" in failed.json()["message"]
        assert f"`cascaderank check {tmp_path / 'failing'}`" in failed.json()["message"]
        failed = await client.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS})
        assert (failed.status_code, failed.json()["error_type"]) == (500, "Backend")
        good = await client.post("/v2/rerank", json={"query": QUERY, "documents": ["red cat"]})
        assert good.status_code == 200

    inside(Settings(cascades={"one": path}, watch_s=0.0), work)
    logged = [record for record in caplog.records if record.getMessage() == "failed"]
    assert len(logged) == 2
    assert all(record.exc_info for record in logged)


@pytest.mark.parametrize("leaves", ["while it is ranked", "while it is sent"])
def test_a_client_that_leaves_ends_its_work(slow_settings: Settings, leaves: str) -> None:
    """60 documents take some hundred milliseconds in one worker; the work ends soon after the client does."""
    head = {"method": "POST", "path": "/v2/rerank", "raw_path": b"/v2/rerank", "query_string": b"", "root_path": ""}
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "headers": [], **head}
    sent: list[Any] = []

    async def whole() -> int:
        service = Service(slow_settings)
        app = create_app(service)
        await service.start()
        complete = leaves == "while it is ranked"
        messages = [{"type": "http.request", "body": json.dumps(MANY).encode(), "more_body": not complete}]
        cascade = service.deployments["slow"].live.current
        assert cascade is not None

        async def receive() -> Any:
            if messages:
                return messages.pop(0)
            if complete:
                await asyncio.sleep(0.03)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        assert service.deployments["slow"].under_way == 0
        assert cascade.users == 0
        text = service.metrics.text().decode()
        assert 'status="499"' in text
        await service.stop()
        return text.count("cascaderank_stage_seconds_count")

    assert asyncio.run(whole()) == 0  # no stage was finished for it
    assert sent[0]["status"] == 499


def test_it_answers_nothing_before_it_is_ready(settings: Settings) -> None:
    async def whole() -> None:
        service = Service(settings)
        transport = httpx.ASGITransport(create_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/health")).status_code == 200
            assert (await client.get("/ready")).status_code == 503
            refused = await client.post("/v2/rerank", json=BODY)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "1"
            await service.start()
            assert (await client.get("/ready")).status_code == 200
            service.drain()
            assert (await client.get("/ready")).status_code == 503
            assert (await client.post("/v2/rerank", json=BODY)).status_code == 200
        await service.stop()

    asyncio.run(whole())


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/v2/rerank/", 404)])
def test_unknown_paths(settings: Settings, path: str, status: int) -> None:
    response = post(settings, path, BODY)
    assert response.status_code == status
    assert "/docs" in response.json()["message"]
