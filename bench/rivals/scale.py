"""How times grow with candidates, with tokens, and with cores: one comparison per point."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rivals.compare import compare
from rivals.contender import Contender
from rivals.texts import Lengths, Request, equal, mixed

POINTS = {"candidates": (10, 30, 100, 300, 1000, 2000), "tokens": (16, 32, 64, 128, 256, 512)}
QUESTIONS = (*POINTS, "threads")
_SHORT = (24, 60)  # tokens of a pair where candidates grow, as in wikiqa: 2000 longer ones would take minutes
_TENSOR = 4096  # tokens of a call where pairs grow longer


def request_at(question: str, point: int, measure: Lengths) -> Request:
    """``candidates``: so many short pairs. ``tokens``: pairs of exactly so many tokens, 4096 tokens in all."""
    if question == "candidates":
        return mixed(measure, point, _SHORT)
    return equal(measure, point, max(_TENSOR // point, 1))


def scale(
    question: str,
    contenders: Sequence[Contender],
    measure: Lengths,
    repetitions: int,
    points: Sequence[int] | None,
    show: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """``{"question", "points": [{"at", ...compare}]}``; ``show`` gets each point when it is done."""
    found = []
    for point in points or POINTS[question]:
        one = {"at": point, **compare(contenders, request_at(question, point, measure), repetitions)}
        show(one)
        found.append(one)
    return {"question": question, "points": found}


def by_cores(arguments: Sequence[str], counts: Sequence[int], show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The comparison of mixed lengths in a process of its own per number of cores, so that every library sees no more
    than those; within a process it alternates as always. ``arguments`` are passed on."""
    found = []
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch, "found.json")
            command = [sys.executable, sys.argv[0], "--lengths", "mixed", "--cores", str(count), "--json", str(file)]
            subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)
            one = {"at": count, **json.loads(file.read_text())["lengths"]["mixed"]}
        show(one)
        found.append(one)
    return {"question": "threads", "points": found}


def use_cores(count: int) -> None:
    """Keep this process on so many of its cores."""
    held = sorted(os.sched_getaffinity(0))
    if not 1 <= count <= len(held):
        raise SystemExit(f"--cores {count}: this process may use {len(held)}")
    os.sched_setaffinity(0, held[:count])
