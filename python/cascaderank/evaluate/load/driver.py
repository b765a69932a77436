"""Sends requests when they are due (open loop), or as fast as they are answered (closed loop)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import InputError
from cascaderank.evaluate.load.record import Reply, Sent, clock
from cascaderank.evaluate.load.targets import Target
from cascaderank.evaluate.requests import Request

Progress = Callable[[int, int], None]


async def open_loop(
    target: Target,
    requests: Sequence[Request],
    due: NDArray[np.float64],
    *,
    patience_s: float = 60.0,
    progress: Progress | None = None,
) -> list[Sent]:
    """Send a request at each of the times ``due`` (seconds, ascending), going round ``requests``; one entry per time.

    Nobody waits for anybody: each request is a task of its own. One that is not answered ``patience_s`` after it was
    sent is given up (cancelled) and noted as unanswered. Where the loop comes late it sends at once what is due, and
    the entries' ``lateness_ms`` says so; latencies count from ``due`` all the same.
    """
    _check(requests)
    loop_start = clock()
    done = count(1)

    async def one(number: int, due_s: float) -> Sent:
        request = requests[number % len(requests)]
        sent = clock()
        try:
            async with asyncio.timeout(patience_s):
                reply = await target.answer(request, max(0.0, sent - loop_start - due_s) * 1e3)
        except TimeoutError:
            reply = Reply("unanswered", clock(), "timeout")
        if progress is not None:
            progress(next(done), len(due))
        return Sent(request, due_s, sent - loop_start, reply.at - loop_start, reply)

    # A group: where one task fails, which is a fault of this program and no reply, the others end with it.
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number, due_s in enumerate(due.tolist()):
            # To sleep for 0 is to let the others go on; a loop that is behind must do that, too.
            await asyncio.sleep(max(0.0, loop_start + due_s - clock()))
            tasks.append(group.create_task(one(number, due_s)))
    return [task.result() for task in tasks]


async def closed_loop(
    target: Target, requests: Sequence[Request], concurrency: int, duration_s: float, *, patience_s: float = 60.0
) -> list[Sent]:
    """``concurrency`` callers, each sending its next request when its last was answered, for ``duration_s``.

    It gives the throughput of a busy target and the answers of an unhurried one, and says nothing about tails.
    """
    _check(requests)
    if concurrency < 1:
        raise InputError(f"load: {concurrency} callers; need at least 1")
    begun = clock()
    numbers = count()
    found: list[Sent] = []

    async def caller() -> None:
        while (sent := clock()) < begun + duration_s:
            request = requests[next(numbers) % len(requests)]
            try:
                async with asyncio.timeout(patience_s):
                    reply = await target.answer(request)
            except TimeoutError:
                reply = Reply("unanswered", clock(), "timeout")
            found.append(Sent(request, sent - begun, sent - begun, reply.at - begun, reply))
            if reply.status != "answered":
                await asyncio.sleep(0.01)  # whoever is refused at once would ask again at once, for ever

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(caller())
    return found


def _check(requests: Sequence[Request]) -> None:
    if not requests:
        raise InputError("load: no requests to send; the collection has no judged query")
