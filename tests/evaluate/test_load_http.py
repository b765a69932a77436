"""A load over HTTP, on a small server that answers, refuses, stalls, lies and hangs up as it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from cascaderank.errors import InputError
from cascaderank.evaluate.load import open_loop, summarize_load
from cascaderank.evaluate.load.apis import APIS, explanation_of, order_of
from cascaderank.evaluate.load.record import Sent
from loads import requests, run

pytest.importorskip("aiohttp", reason="a load over HTTP needs aiohttp: pip install 'cascaderank[load]'")

from cascaderank.evaluate.load.http import HttpTarget, make_bodies

ORDER = [2, 0, 1]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.behave = "answer"
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is part of the test; nothing is printed."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append((self.path, body, {key.lower(): value for key, value in self.headers.items()}))
        match self.server.behave:
            case "refuse":
                self._send({"message": "busy"}, 429)
            case "break":
                self._send({"message": "no"}, 500)
            case "lie":
                self._send({"results": [{"index": 0, "relevance_score": 1.0}] * 3})
            case "babble":
                self._send_raw(b"<html>", 200)
            case "drop":
                self.close_connection = True
                self.connection.close()
            case "stall":
                self.server.go_on.wait(20)
                self._send(self._answer(body))
            case _:
                self._send(self._answer(body))

    def _answer(self, body: dict[str, Any]) -> Any:
        results = [{"index": index, "relevance_score": 1.0 - place} for place, index in enumerate(ORDER)]
        if "texts" in body:
            return [{"index": index, "score": 1.0 - place} for place, index in enumerate(ORDER)]
        if "top_k" in body:
            return {"object": "list", "data": results}
        found: dict[str, Any] = {"results": results}
        if body.get("explain"):
            stages = [{"name": "bi", "ms": 1.5}, {"name": "ce", "ms": 2.5}]
            found["meta"] = {"cascade": {"degraded": True, "total_ms": 4.25, "stages": stages}}
        return found

    def _send(self, found: Any, status: int = 200) -> None:
        self._send_raw(json.dumps(found).encode(), status)

    def _send_raw(self, raw: bytes, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.go_on.set()
    found.shutdown()
    thread.join()
    found.server_close()


def load(
    url: str, due: list[float], api: str = "cohere", *, patience_s: float = 20.0, explain: bool = False, **options: Any
) -> list[Sent]:
    some = requests()
    bodies = make_bodies(APIS[api], some, options.pop("model", None), explain=explain)

    async def send() -> list[Sent]:
        async with HttpTarget(url, APIS[api], bodies, **options) as target:
            return await open_loop(target, some, np.array(due), patience_s=patience_s)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("api", "path", "texts", "count"),
    [
        ("cohere", "/v2/rerank", "documents", "top_n"),
        ("jina", "/v1/rerank", "documents", "top_n"),
        ("voyage", "/v1/rerank", "documents", "top_k"),
        ("tei", "/rerank", "texts", None),
    ],
)
def test_each_api_is_spoken(server: Server, api: str, path: str, texts: str, count: str | None) -> None:
    found = load(server.url, [0.0, 0.01], api, key="secret", deadline_ms=250.0)
    assert [one.reply.status for one in found] == ["answered", "answered"]
    assert all(one.reply.top is not None and one.reply.top.tolist() == ORDER for one in found)
    assert all(one.reply.stages == () and not one.reply.degraded for one in found)  # nobody explains: no error
    where, body, headers = server.seen[0]
    assert where == path
    assert body["query"] in ("query 0", "query 1")
    assert body[texts] == ["text of a", "text of b", "text of c"]
    assert count is None or body[count] == 10
    assert not {"explain", "scores", "deadline_ms"} & set(body)  # other servers may refuse what they do not know
    assert headers["authorization"] == "Bearer secret"
    assert 150.0 < float(headers["x-deadline-ms"]) <= 250.0  # less what the send was late


def test_stages_of_a_server_that_explains(server: Server) -> None:
    found = load(f"{server.url}/elsewhere/rerank", [0.0], explain=True, model="one")
    reply = found[0].reply
    assert reply.degraded
    assert reply.stages == (("bi", 1.5), ("ce", 2.5))
    assert reply.total_ms == 4.25
    path, body, headers = server.seen[0]
    assert path == "/elsewhere/rerank"  # a path of its own is kept
    assert body["model"] == "one"
    assert body["scores"] == [3.0, 2.0, 1.0]
    assert "x-deadline-ms" not in headers


@pytest.mark.parametrize(
    ("behave", "status", "what"),
    [
        ("refuse", "refused", "HTTP 429"),
        ("break", "failed", "HTTP 500"),
        ("lie", "failed", "answer: indices that are no permutation of 3 documents"),
        ("babble", "failed", "answer: "),
        ("drop", "failed", "ServerDisconnectedError"),
    ],
)
def test_what_is_no_answer_is_counted_by_what_it_is(server: Server, behave: str, status: str, what: str) -> None:
    server.behave = behave
    summary = summarize_load(run(*load(server.url, [0.0, 0.005]), duration_s=1.0))
    assert summary["answered"] == 0
    (name,) = summary[status]
    assert name.startswith(what)
    assert summary[status][name] == 2
    assert summary["goodput_per_s"] == 0.0


def test_nobody_there() -> None:
    (one,) = load("http://127.0.0.1:9", [0.0])
    assert (one.reply.status, one.reply.what) == ("failed", "ClientConnectorError")


def test_a_server_that_stalls_is_sent_everything_all_the_same(server: Server) -> None:
    """No limit of connections stands between due and sent: all thirty are at the server before it answers one."""
    server.behave = "stall"

    def let_go() -> None:
        while len(server.seen) < 30 and not server.go_on.wait(0.005):
            pass
        server.go_on.set()

    waiter = threading.Thread(target=let_go)
    waiter.start()
    found = load(server.url, [number * 0.002 for number in range(30)])
    waiter.join()
    assert len(server.seen) == 30
    assert [one.reply.status for one in found] == ["answered"] * 30
    last = max(one.sent_s for one in found)
    assert all(one.done_s >= last for one in found)


def test_a_server_that_never_answers_is_given_up(server: Server) -> None:
    server.behave = "stall"
    (one,) = load(server.url, [0.0], patience_s=0.1)
    assert one.reply.status == "unanswered"
    assert one.latency_ms >= 99


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host", "http://", ""])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(InputError, match="--url"):
        HttpTarget(url, APIS["cohere"], {})


@pytest.mark.parametrize(
    "found",
    [None, [], {"data": []}, {"results": [{}]}, {"results": [{"index": 3}]}, {"results": [{"index": "0"}]},
     {"results": [{"index": 0}]}],
)  # fmt: skip
def test_what_is_no_answer(found: Any) -> None:
    with pytest.raises(ValueError, match=r"answer|indices|results"):
        order_of(APIS["cohere"], found, 3, 10)


def test_explanations_may_be_absent() -> None:
    assert explanation_of([]) == {}
    assert explanation_of({"meta": None}) == {}
    assert explanation_of({"meta": {"cascade": {"degraded": False}}}) == {"degraded": False}
    assert explanation_of({"cascade": {"degraded": True}}) == {"degraded": True}
