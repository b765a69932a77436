"""The real program over real sockets: drain, slow and malformed clients, pipelining, keys of the command line, swap."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from serving import DOCUMENTS, QUERY, Program, program

BODY = {"query": QUERY, "documents": DOCUMENTS}
GOOD = json.dumps(BODY).encode()


def raw(head: str, body: bytes = GOOD) -> bytes:
    return head.format(length=len(body)).replace("\n", "\r\n").encode() + b"\r\n" + body


POST = "POST /v2/rerank HTTP/1.1\nhost: a\ncontent-length: {length}\n"


def talk(server: Program, data: bytes, timeout_s: float = 5.0) -> bytes:
    """Send, then read until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(1 << 16):
            received += chunk
        return received


def test_pipelined_requests_are_answered_in_order(server: Program) -> None:
    requests = [raw(POST, json.dumps({**BODY, "top_n": count}).encode()) for count in (1, 2, 3)]
    last = raw(POST + "connection: close\n", json.dumps({**BODY, "top_n": 4}).encode())
    answers = talk(server, b"".join([*requests, last])).split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"200"] * 4
    assert [answer.count(b'"index"') for answer in answers] == [1, 2, 3, 4]


def test_a_body_that_does_not_come(server: Program) -> None:
    begun = time.monotonic()
    answer = talk(server, raw(POST, GOOD).removesuffix(GOOD[5:]))
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begun < 3
    assert b"not complete after 1 s" in answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01 no HTTP", 400),
        (raw("POST /v2/rerank HTTP/1.1\nhost: a\ncontent-length: -1\n"), 400),
        (raw("POST /v2/rerank HTTP/1.1\nhost: a\ncontent-length: {length}\ntransfer-encoding: chunked\n"), 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 100_000, 431),
        (raw("POST /v2/rerank HTTP/1.1\nhost: a\ncontent-length: 99999999999\nconnection: close\n"), 413),
        (raw("GET /v2/rerank HTTP/1.1\nhost: a\nconnection: close\n", b""), 405),
    ],
)
def test_what_is_no_request(server: Program, data: bytes, status: int) -> None:
    assert talk(server, data).startswith(f"HTTP/1.1 {status}".encode())
    assert httpx.post(f"{server.url}/v2/rerank", json=BODY).status_code == 200


def test_a_head_that_does_not_come(file: Path) -> None:
    """A connection that says nothing, and one whose second request never ends, are closed; uvicorn alone keeps both."""
    with program(f"tiny={file}", "--header-timeout-s", "0.3") as server:
        for first in (b"", raw(POST)):
            for data in (b"G", b"GET /hea", b"\r\n") if first else (b"", b"GET /hea"):
                with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
                    connection.sendall(first)
                    answer = b""
                    while first and not answer.endswith(b"}}}"):
                        answer += connection.recv(1 << 16)
                    connection.sendall(data)
                    begun = time.monotonic()
                    assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408"), (first, data)
                    assert connection.recv(1 << 16) == b""
                    assert 0.2 < time.monotonic() - begun < 3


def closed_without_answer(server: Program, data: bytes, timeout_s: float = 5.0) -> bool:
    """Whether the server closes the connection, while it still gets data or after, and has said nothing."""
    try:
        return talk(server, data, timeout_s) == b""
    except (ConnectionResetError, BrokenPipeError):
        return True


def test_a_head_without_end_behind_a_slow_request(slow: Path, tmp_path: Path) -> None:
    """The parser keeps what it has of a head: without a bound a client could fill the memory while it waits."""
    path = tmp_path / "slow.toml"
    path.write_text(f'[cascade]\nworkers = 1\n[[stage]]\nmodel = "{slow}"\nkeep = 1000\n', encoding="utf-8")
    first = raw(POST, json.dumps({"query": QUERY, "documents": ["red cat"] * 500}).encode())
    with program(path, "--watch-s", "0") as server:
        assert closed_without_answer(server, first + b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 1_000_000)
        metrics = httpx.get(f"{server.url}/metrics").text
        assert 'status="499"' in metrics
        good = [raw(POST + "x: " + "a" * 40_000 + "\n")] * 2 + [raw(POST + "connection: close\n")]
        assert talk(server, b"".join(good)).count(b"HTTP/1.1 200") == 3


def test_trailers_without_end(server: Program) -> None:
    chunked = "POST /v2/rerank HTTP/1.1\nhost: a\ntransfer-encoding: chunked\nconnection: close\n"
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (GOOD[:20], GOOD[20:])) + b"0\r\n"
    assert closed_without_answer(server, raw(chunked, chunks + b"x: " + b"a" * 1_000_000))
    assert closed_without_answer(server, raw(chunked, chunks + b"x: a\r\n" * 20_000))
    assert talk(server, raw(chunked, chunks + b"x: a\r\n\r\n")).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_reads(file: Path) -> None:
    """Jina's answers hold the documents: 16 MB, more than the sockets' buffers take."""
    body = json.dumps({"query": QUERY, "documents": ["red " * 250_000] * 16}).encode()
    head = "POST /jina/v1/rerank HTTP/1.1\nhost: a\ncontent-length: {length}\n"
    with program(f"tiny={file}", "--watch-s", "0", "--send-timeout-s", "0.4") as server:

        def held() -> int:
            return len(os.listdir(f"/proc/{server.process.pid}/fd"))

        before = held()
        for closing in ("", "connection: close\n"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as silent:
                silent.sendall(raw(head + closing, body))
                server.wait_for("request")
                assert held() > before
                deadline = time.monotonic() + 10
                while held() > before and time.monotonic() < deadline:
                    time.sleep(0.02)
                assert held() == before
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as steady:
            steady.sendall(raw(head + "connection: close\n", body))
            received = 0
            while chunk := steady.recv(1 << 18):
                received += len(chunk)
                time.sleep(0.02)
        assert received > len(body)


def test_a_client_that_hangs_up_leaves_nothing(server: Program) -> None:
    before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    for cut in range(1, 120, 7):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            connection.sendall(raw(POST)[:cut])
    deadline = time.monotonic() + 5
    while len(os.listdir(f"/proc/{server.process.pid}/fd")) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(os.listdir(f"/proc/{server.process.pid}/fd")) <= before


def test_sigterm_finishes_what_is_under_way_and_ends_with_0(slow: Path, tmp_path: Path) -> None:
    """/ready says no at once; a request that was under way is answered; then nobody listens and the code is 0."""
    path = tmp_path / "slow.toml"
    path.write_text(f'[cascade]\nworkers = 1\n[[stage]]\nmodel = "{slow}"\nkeep = 100\n', encoding="utf-8")
    with program(path, "--drain-delay-s", "0.3") as server:
        answers: list[int] = []
        body = {"query": QUERY, "documents": ["red cat"] * 400}

        def ask() -> None:
            answers.append(httpx.post(f"{server.url}/v2/rerank", json=body, timeout=60).status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        with httpx.Client(base_url=server.url) as client:
            while b'in_flight{cascade="slow"} 1.0' not in client.get("/metrics").content:
                assert asking.is_alive(), answers
                time.sleep(0.005)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("draining")
            assert client.get("/ready").status_code == 503
            assert client.get("/health").status_code == 200
            late = client.post("/v2/rerank", json={"query": "red", "documents": ["red"]}, timeout=60)
            assert late.status_code == 200  # a balancer that has not noticed yet loses nothing
        asking.join()
        assert server.process.wait(30) == 0
        assert answers == [200]
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url)


def test_sigterm_while_a_disk_does_not_answer_at_the_start(file: Path, tmp_path: Path) -> None:
    """A named pipe in place of the second cascade file: whoever reads it waits for ever. Whoever asks meanwhile gets
    503 where nothing is loaded, and the process ends with 0 when the drain is over."""
    os.mkfifo(tmp_path / "pipe")
    drain = ("--drain-delay-s", "1", "--drain-s", "1")
    with program(f"tiny={file}", f"never={tmp_path / 'pipe'}", *drain, until="switched") as server:
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        begun = time.monotonic()
        refused = httpx.post(f"{server.url}/v2/rerank", json={**BODY, "model": "never"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert httpx.post(f"{server.url}/v2/rerank", json=BODY).status_code == 200
        assert httpx.post(f"{server.url}/v2/rerank", json={**BODY, "model": "another"}).status_code == 404
        assert server.process.wait(30) == 0
        assert time.monotonic() - begun < 10
    assert not [line for line in server.lines if line["level"] in ("error", "critical")]


def test_a_cascade_that_cannot_be_loaded_ends_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cascade.toml"
    path.write_text('[[stage]]\nmodel = "nowhere"\nkeep = 1\n', encoding="utf-8")
    command = [sys.executable, "-m", "cascaderank.cli", "serve", str(path), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "cascaderank: error: cascade 'cascade': not put in place: model 'nowhere'" in done.stderr


def test_swap_rollback_and_sighup_by_the_command_line(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "ce", tmp_path / "model")
    path = tmp_path / "one.toml"
    path.write_text('[[stage]]\nmodel = "model"\nkeep = 6\n', encoding="utf-8")
    keys = tmp_path / "keys"
    keys.write_text("# who swaps\nsecret\n", encoding="utf-8")
    swap_key = tmp_path / "key"
    swap_key.write_text("secret\n", encoding="utf-8")
    with program(path, "--admin-key-file", keys, "--watch-s", "0") as server:

        def swap(*more: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "cascaderank.cli", "swap", server.url, "--key-file", str(swap_key), *more]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

        shutil.rmtree(tmp_path / "model")
        shutil.copytree(models / "ce2", tmp_path / "model")
        done = swap()
        assert done.stdout.startswith("one: generation 2 serves")
        assert swap("--rollback").stdout.startswith("one: generation 1 serves")
        (tmp_path / "model" / "model.onnx").unlink()
        done = swap("--cascade", "one")
        assert done.returncode == 1
        assert "answered 409" in done.stderr
        assert "model.onnx" in done.stderr
        server.process.send_signal(signal.SIGHUP)
        assert "model.onnx" in server.wait_for("refused")["reason"]
        assert httpx.post(f"{server.url}/v2/rerank", json=BODY).status_code == 200
    assert swap().returncode == 1  # nobody is there


def test_all_that_is_logged_is_json(server: Program) -> None:
    httpx.post(f"{server.url}/v2/rerank", json=BODY, headers={"x-request-id": "logged"})
    server.wait_for("request")
    assert any(line.get("request_id") == "logged" for line in server.lines)


def test_what_is_missing_is_named() -> None:
    """Without an extra's package the command says which extra; nothing else of the command line minds."""
    code = """
import sys
from importlib.machinery import PathFinder
class Absent(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "msgspec" else PathFinder.find_spec(name, path, target)
sys.meta_path[:] = [Absent if finder is PathFinder else finder for finder in sys.meta_path]
from cascaderank.cli.main import main
raise SystemExit(main(["serve", "--port", "0"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "cascaderank: error: serve needs the package msgspec" in done.stderr
    assert "pip install 'cascaderank[serve]'" in done.stderr
