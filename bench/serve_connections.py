"""Ten thousand connections at once: all held open, each asked in turn, then all closed.

    python bench/serve_connections.py --connections 10000

Server and client are processes of their own, each with its own limit of open files (``ulimit -n``); the number is
lowered to what that allows, and said. Every connection gets an answer to /health, then to a ranking of two documents.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
from pathlib import Path

from fuzz_http import GOOD, make_model
from fuzz_sockets import request, server


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> int:
    """The status of one answer, its body read."""
    writer.write(data)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


async def hold(port: int, count: int, pid: int) -> None:
    """Open, ask twice, close; prints how many answered."""
    gate = asyncio.Semaphore(200)  # asked at once; the server's own queue is bounded as well

    async def open_one() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with gate:
            found = await asyncio.open_connection("127.0.0.1", port)
            assert await ask(*found, b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n") == 200
            return found

    async def rank(pair: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> int:
        async with gate:
            return await ask(*pair, request(GOOD))

    begun = time.perf_counter()
    pairs = await asyncio.gather(*(open_one() for _ in range(count)))
    held = len(os.listdir(f"/proc/{pid}/fd"))
    print(f"{count} connections opened in {time.perf_counter() - begun:.1f} s, the server holds {held} open files")
    begun = time.perf_counter()
    statuses = await asyncio.gather(*map(rank, pairs))
    took = time.perf_counter() - begun
    resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    shown = {status: statuses.count(status) for status in sorted(set(statuses))}
    print(f"a ranking on each: statuses {shown} in {took:.1f} s; {' '.join(resident.split())}")
    for _, writer in pairs:
        writer.close()
    await asyncio.sleep(2)
    print(f"closed; the server holds {len(os.listdir(f'/proc/{pid}/fd'))} open files")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    options = parser.parse_args()
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200
    count = min(options.connections, allowed)
    if count < options.connections:
        print(f"ulimit -n allows {count} connections, not {options.connections}")
    with tempfile.TemporaryDirectory() as folder:
        file = make_model(Path(folder) / "mean")
        more = ("--max-queue", "400", "--watch-s", "0")
        with server(file, *more, "--keep-alive-s", "120") as (port, process):
            asyncio.run(hold(port, count, process.pid))
    print("the server ended with 0")


if __name__ == "__main__":
    main()
