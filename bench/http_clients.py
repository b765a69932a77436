"""What an asyncio HTTP client costs by itself, so that a load's figures are the server's:
``python bench/http_clients.py``.

aiohttp and httpx (where installed) post the same rerank requests to a server in another process that reads the body
and answers ten results without looking at it; ``--concurrency`` requests at once, in alternating rounds. Given are
processor time of this process, which is the client alone, and wall time, per request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

from measure import describe, machine, spread, table, write_json

ANSWER = json.dumps({"results": [{"index": index, "relevance_score": 1.0} for index in range(10)]}).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
_SPAWN = multiprocessing.get_context("spawn")
Post = Callable[[], Awaitable[object]]


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
            length = next(int(line.split(b":")[1]) for line in head if line.startswith(b"content-length"))
            await reader.readexactly(length)
            writer.write(HEAD + ANSWER)
            await writer.drain()
    writer.close()


def _serve(pipe: Any) -> None:
    async def main() -> None:
        server = await asyncio.start_server(_connection, "127.0.0.1", 0, limit=1 << 24)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


async def _timed(post: Post, requests: int, concurrency: int) -> tuple[float, float]:
    """(processor, wall) milliseconds per request."""

    async def caller(count: int) -> None:
        for _ in range(count):
            await post()

    await caller(5)  # connections are made and code is warm
    wall, own = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller(requests // concurrency) for _ in range(concurrency)))
    done = requests // concurrency * concurrency
    return (time.process_time() - own) / done * 1e3, (time.perf_counter() - wall) / done * 1e3


async def _aiohttp(url: str, body: bytes, requests: int, concurrency: int) -> tuple[float, float]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post() -> bytes:
            async with session.post(url, data=body) as response:
                return await response.read()

        return await _timed(post, requests, concurrency)


async def _httpx(url: str, body: bytes, requests: int, concurrency: int) -> tuple[float, float]:
    import httpx

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=60.0) as client:
        return await _timed(lambda: client.post(url, content=body), requests, concurrency)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400, help="per round (default 400)")
    parser.add_argument("--rounds", type=int, default=7, help="default 7")
    parser.add_argument("--concurrency", type=int, default=8, help="default 8")
    parser.add_argument("--documents", type=int, nargs="+", default=[50, 1000], help="in a body (default 50 and 1000)")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    about = machine()
    print(describe(about))
    clients = {"aiohttp": _aiohttp, "httpx": _httpx}
    clients = {name: client for name, client in clients.items() if find_spec(name)}
    ours, theirs = _SPAWN.Pipe()
    server = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{ours.recv()}/v2/rerank"
    rows = [("documents", "KB", "client", "processor ms", "quartiles", "wall ms", "quartiles")]
    figures = []
    for documents in options.documents:
        texts = ["a passage of some words " * 20] * documents
        body = json.dumps({"query": "a question", "documents": texts}).encode()
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
        for number in range(options.rounds):
            for name in sorted(clients, reverse=bool(number % 2)):
                found[name].append(asyncio.run(clients[name](url, body, options.requests, options.concurrency)))
        for name, pairs in found.items():
            own, wall = spread([pair[0] for pair in pairs]), spread([pair[1] for pair in pairs])
            cells = [f"{part.median:.2f}|{part.low:.2f}-{part.high:.2f}".split("|") for part in (own, wall)]
            rows.append((str(documents), f"{len(body) / 1e3:.0f}", name, *cells[0], *cells[1]))
            figures.append({"documents": documents, "client": name, "processor_ms": own.median, "wall_ms": wall.median})
    server.terminate()
    print(table(rows))
    write_json(options.json, {"machine": about, "figures": figures})


if __name__ == "__main__":
    main()
