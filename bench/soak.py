"""Memory, threads and file handles over many requests at once: ``python bench/soak.py --requests 1000000``.

A service's life in short: an event loop keeps ``--concurrency`` requests under way on a small synthetic cascade (a
bi-encoder and a cross-encoder, the tests' own). Of every twelve requests, five are plain ones by id or by text, two
have a deadline they meet, one a deadline nobody can meet, two are cancelled (one at once, one while its models may be
running), one is wrong and one asks for an unknown id. Every answer is compared with the one of an idle cascade.

Growth is judged between marks: a leak grows between all of them, an allocator's pages between some. So the figure is
the smallest growth of any tenth of the run after the first two, per request, and a line fitted through them beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from measure import bar, bar_line, describe, machine, table, write_json

from cascaderank import Cascade, Stage
from cascaderank.errors import CascadeError, InputError, StoreError
from cascaderank.store import Store

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from tiny import WORDS, make_cross_encoder, make_encoder  # noqa: E402

MARKS = 10
LEAK_BYTES = 8.0  # per request: one pointer kept of each
ENOUGH = 100_000
KINDS = 12


@dataclass(frozen=True, slots=True)
class Mark:
    """The process after so many requests, with nothing under way and garbage collected."""

    requests: int
    seconds: float
    resident_bytes: int
    handles: int
    threads: int
    objects: int


class Soak:
    def __init__(self, cascade: Cascade, store: Store, concurrency: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self._cascade, self._store, self._concurrency = cascade, store, concurrency
        self._texts = [
            [" ".join(generator.choice(WORDS[:9], generator.integers(1, 12))) for _ in range(size)]
            for size in (1, 3, 8, 13)
        ]
        self._ids = [str(number) for number in range(8)]
        self._expected = [[hit.index for hit in cascade.rank("red cat", some)] for some in self._texts]
        self._expected_ids = [hit.id for hit in cascade.rank("two fish", ids=self._ids, store=store)]
        self.counts: Counter[str] = Counter()
        self.sent = 0

    async def run(self, until: int) -> None:
        """Send requests up to number ``until``, ``concurrency`` of them under way at any time."""
        numbers = iter(range(self.sent, until))

        async def caller() -> None:
            for number in numbers:
                await self._one(number)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(caller())
        self.sent = until

    async def _one(self, number: int) -> None:
        cascade, which = self._cascade, number // KINDS % len(self._texts)
        texts = self._texts[which]
        match number % KINDS:
            case 0 | 1 | 2:
                ranking = await cascade.arank("two fish", ids=self._ids, store=self._store)
                self._check([hit.id for hit in ranking] == self._expected_ids, "an answer by ids")
            case 3 | 4:
                ranking = await cascade.arank("red cat", texts)
                self._check(ranking.order.tolist() == self._expected[which], "an answer by texts")
            case 5 | 6:
                ranking = await cascade.arank("red cat", texts, deadline_ms=60_000, top_n=1)
                self._check(ranking.order.tolist() == self._expected[which][:1], "an answer before its deadline")
            case 7:
                # Degraded, or refused where the engine knows that it must be; both are answers to such a wish.
                try:
                    ranking = await cascade.arank("red cat", texts, deadline_ms=0.01)
                    self._check(ranking.degraded and len(ranking) == len(texts), "an answer that cannot be in time")
                except CascadeError as error:
                    self.counts[type(error).__name__] += 1
            case 8 | 9 as kind:
                task = asyncio.ensure_future(cascade.arank("red cat", texts))
                await asyncio.sleep(0.0 if kind == 8 else 0.002)
                task.cancel()
                try:
                    await task
                    self.counts["answered before it was cancelled"] += 1
                except asyncio.CancelledError:
                    self.counts["cancelled"] += 1
            case 10:
                await self._fails(cascade.arank("red", [*texts, 5]), InputError)
            case _:
                await self._fails(cascade.arank("red", ids=["nobody"], store=self._store), StoreError)

    async def _fails(self, call: Any, expected: type[CascadeError]) -> None:
        try:
            await call
        except expected:
            self.counts[expected.__name__] += 1
        else:
            raise SystemExit(f"no {expected.__name__} where one was due")

    def _check(self, good: object, what: str) -> None:
        if not good:
            raise SystemExit(f"{what} is wrong under load")
        self.counts["right"] += 1


def mark(requests: int, started: float) -> Mark:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    handles = len(os.listdir("/proc/self/fd"))
    return Mark(
        requests, time.perf_counter() - started, resident, handles, threading.active_count(), len(gc.get_objects())
    )


def soak(requests: int, concurrency: int, seconds: float, seed: int) -> tuple[list[Mark], Counter[str]]:
    """Marks after every tenth of ``requests``, or of ``seconds`` where they are given."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_encoder(folder / "bi")
        make_cross_encoder(folder / "ce")
        stages = [Stage(folder / "bi", keep=6), Stage(folder / "ce", keep=3)]
        with Cascade(stages, fusion="convex") as cascade:
            documents = [{"id": str(number), "text": f"{WORDS[number]} fish two"} for number in range(8)]
            cascade.encode(documents).save(folder / "store")
            subject = Soak(cascade, Store.open(folder / "store"), concurrency, seed)
            started = time.perf_counter()
            step = max(requests // MARKS, KINDS)
            marks: list[Mark] = []
            while len(marks) < MARKS and (seconds or subject.sent + step <= requests):
                asyncio.run(subject.run(subject.sent + (40 * KINDS if seconds else step)))
                while seconds and time.perf_counter() - started < seconds * (len(marks) + 1) / MARKS:
                    asyncio.run(subject.run(subject.sent + 40 * KINDS))
                marks.append(mark(subject.sent, started))
    return marks, subject.counts


def growth(marks: list[Mark]) -> dict[str, float]:
    """Bytes per request after the first two tenths: the least of any tenth, and a line's slope through all."""
    late = marks[2:]
    steps = [(b.resident_bytes - a.resident_bytes) / (b.requests - a.requests) for a, b in pairwise(late)]
    slope = np.polyfit([one.requests for one in late], [one.resident_bytes for one in late], 1)[0]
    return {"least_bytes_per_request": min(steps), "slope_bytes_per_request": float(slope)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000, help="default 1000000")
    parser.add_argument("--seconds", type=float, default=0.0, help="measure so long instead")
    parser.add_argument("--concurrency", type=int, default=16, help="requests under way at once (default 16)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    if not Path("/proc/self/statm").exists():
        raise SystemExit("soak: memory and handles are read from /proc, which is not here")
    about = machine()
    print(describe(about))
    marks, counts = soak(options.requests, options.concurrency, options.seconds, options.seed)
    rows = [("requests", "s", "resident MB", "handles", "threads", "objects")]
    for one in marks:
        megabytes = f"{one.resident_bytes / 1e6:.2f}"
        rows.append(
            (str(one.requests), f"{one.seconds:.0f}", megabytes, str(one.handles), str(one.threads), str(one.objects))
        )
    print(table(rows))
    print(", ".join(f"{name} {number}" for name, number in counts.most_common()))
    entries = []
    if marks[-1].requests < ENOUGH or len(marks) <= 4:
        print(f"too few requests to tell a leak from an allocator's pages; {ENOUGH} are needed")
    else:
        found = growth(marks)
        print(f"resident bytes per request: {found}")
        entries.append(
            bar("bytes kept per request (least tenth)", found["least_bytes_per_request"], LEAK_BYTES, at_least=False)
        )
    first, last = marks[len(marks) // 5], marks[-1]
    # The engine starts a thread when a request finds none that is idle, up to a limit: never more than are under way.
    allowances = {"handles": 0.0, "threads": float(options.concurrency), "objects": 200.0}
    entries += [
        bar(f"more {name} at the end", float(getattr(last, name) - getattr(first, name)), allowed, at_least=False)
        for name, allowed in allowances.items()
    ]
    for entry in entries:
        print(bar_line(entry))
    result = {"machine": about, "marks": [asdict(one) for one in marks], "counts": dict(counts), "bars": entries}
    write_json(options.json, result)


if __name__ == "__main__":
    main()
