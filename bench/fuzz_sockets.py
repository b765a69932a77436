"""What only a socket can do to a server: heads that are none, pipelines, wrong lengths, slow bodies, hang-ups."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

GOOD = b'{"query": "red", "documents": ["red cat", "dog"]}'


@contextlib.contextmanager
def server(file: Path, *more: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The real program in a process of its own; its port. Ended with SIGTERM, which has to give 0."""
    command = [sys.executable, "-m", "cascaderank.cli", "serve", str(file), "--port", "0", *more]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, close_fds=True)
    assert process.stderr is not None
    port = 0
    for line in process.stderr:
        said = json.loads(line)
        port = said.get("port", port)
        if said["message"] == "ready":
            break
    lines = process.stderr
    threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
    try:
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        if code:
            raise SystemExit(f"the server ended with {code}")


def request(body: bytes = GOOD, head: bytes = b"", path: bytes = b"/v2/rerank") -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n%s\r\n%s" % (path, len(body), head, body)


def statuses(data: bytes) -> list[int]:
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]


def talk(port: int, pieces: list[bytes], pause: float = 0.0, wait: float = 2.0, reset: bool = False) -> bytes:
    """Send pieces, read what comes until the server closes or is silent for ``wait`` seconds."""
    received = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        if reset:  # closing sends RST
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        if reset:
            return b""
        while data := connection.recv(1 << 16):
            received += data
            if received.endswith((b"}", b"]", b"\r\n\r\n")):
                connection.settimeout(0.05)
    return received


def hostile(random_: random.Random) -> tuple[str, list[bytes], float, bool]:
    """A kind of trouble, the pieces that make it, the pause between them, and whether to hang up at once."""
    kind = random_.choice(("noise", "head", "pipeline", "length", "chunks", "slow", "hang-up", "large head", "methods"))
    good = request()
    if kind == "noise":
        return kind, [random_.randbytes(random_.randrange(1, 400))], 0, False
    if kind == "head":
        place = random_.randrange(good.index(b"\r\n\r\n"))
        return kind, [good[:place] + random_.randbytes(random_.randrange(1, 6)) + good[place:]], 0, False
    if kind == "pipeline":
        return kind, [good * random_.randrange(2, 30)], 0, False
    if kind == "length":
        length = random_.choice((b"-1", b"abc", b"99999999999999999999", b"1, 2", b"", b"0x10", b"3"))
        return kind, [b"POST /v2/rerank HTTP/1.1\r\nhost: a\r\ncontent-length: %s\r\n\r\n%s" % (length, GOOD)], 0, False
    if kind == "chunks":
        size = random_.choice((b"%x" % len(GOOD), b"FFFFFFFFFFFFFFFF1", b"-1", b"zz", b"%x;ext=1" % len(GOOD), b"1"))
        both = random_.choice((b"", b"content-length: 3\r\n"))
        head = b"POST /v2/rerank HTTP/1.1\r\nhost: a\r\n%stransfer-encoding: chunked\r\n\r\n" % both
        return kind, [head, b"%s\r\n%s\r\n0\r\n\r\n" % (size, GOOD)], 0, False
    if kind == "slow":
        cuts = sorted(random_.sample(range(1, len(good)), 4))
        return kind, [good[a:b] for a, b in zip([0, *cuts], [*cuts, len(good)], strict=True)], 0.01, False
    if kind == "hang-up":
        return kind, [good[: random_.randrange(1, len(good) + 1)]], 0, True
    if kind == "large head":
        return (
            kind,
            [b"GET /health HTTP/1.1\r\nhost: a\r\n" + b"x: " + b"y" * random_.choice((60_000, 70_000, 300_000))],
            0,
            True,
        )
    method = random_.choice((b"GET", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"TRACE", b"CONNECT", b"PRI", b"BREW"))
    target = random_.choice((b"/", b"/v2/rerank", b"//", b"/%00", b"/%ff", b"http://[::1", b"*", b"/" + b"a" * 5000))
    upgrade = random_.choice((b"", b"connection: upgrade\r\nupgrade: websocket\r\n", b"expect: 100-continue\r\n"))
    return kind, [b"%s %s HTTP/1.1\r\nhost: a\r\n%s\r\n" % (method, target, upgrade)], 0, False


def fuzz_sockets(file: Path, count: int, seed: int) -> str:
    """Raises where a well-formed request is not answered afterwards, or an answer is 500; else what was done."""
    seen: Counter[str] = Counter()
    lock = threading.Lock()
    failures: list[str] = []
    with server(file, "--body-timeout-s", "1") as (port, process):

        def work(first: int) -> None:
            for number in range(first, count, 8):
                kind, pieces, pause, reset = hostile(random.Random(f"{seed}:{number}"))
                answered = statuses(talk(port, pieces, pause, wait=1.5, reset=reset))
                with lock:
                    seen[kind] += 1
                    if 500 in answered or (kind == "pipeline" and set(answered) - {200, 429}):
                        failures.append(f"seed {seed}, socket input {number}, {kind}: {answered}")
                if number % 100 == first and statuses(talk(port, [request()]))[:1] not in ([200], [429]):
                    failures.append(f"after socket input {number}: a well-formed request is not answered")

        threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if process.poll() is not None:
            failures.append(f"the server ended with {process.returncode}")
        open_files = len(os.listdir(f"/proc/{process.pid}/fd"))
        alive = statuses(talk(port, [request()]))
    if failures or alive != [200]:
        raise SystemExit("\n".join([f"{len(failures)} failures", *failures[:20]]))
    kinds = dict(sorted(seen.items()))
    return f"sockets: {sum(seen.values())} inputs, {kinds}; alive, {open_files} open files, ended with 0"
