"""kill -9 at many places of every change: the old state or the new one opens, whole, and the next writer cleans up."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cascaderank import Store
from cascaderank.store import Writer
from stores import content, documents_of, in_memory, schema

POINTS = 32  # lines of the store's code, evenly spread over each operation


@pytest.mark.parametrize("operation", ["append", "compact", "replace"])
def test_killed_at_a_line(operation: str, tmp_path: Path) -> None:
    program = Path(__file__).with_name("crashes.py")
    done = subprocess.run(
        [sys.executable, str(program), operation, str(tmp_path), str(POINTS)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Compaction does not change what a store says, so its two states are one.
    assert found["after"] if operation == "compact" else found["before"] and found["after"]
    assert found["before"] + found["after"] > 28


ENDLESS = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from cascaderank.store import Writer
from stores import documents_of, part_of
print("ready", flush=True)
with Writer(sys.argv[1]) as writer:
    for start in range(0, 100_000, 3):
        writer.add(part_of(documents_of(3, start)))
        writer.commit()
        writer.compact_tail()
        print(start + 3, flush=True)
"""


def test_killed_at_any_time(tmp_path: Path) -> None:
    """A writer that commits and compacts all the time, killed by the clock: every commit it reported is there."""
    folder, here = tmp_path / "store", str(Path(__file__).resolve().parents[1])
    with Writer(folder, schema("fp16")) as writer:
        writer.commit()
    delays = random.Random(11)
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(folder), here], stdout=subprocess.PIPE, text=True
        ) as writing:
            assert writing.stdout is not None
            assert writing.stdout.readline() == "ready\n"
            time.sleep(delays.uniform(0.05, 0.4))
            os.kill(writing.pid, signal.SIGKILL)
            reported = [int(line) for line in writing.stdout.read().splitlines()]
        store = Store.open(folder)
        store.verify()
        assert len(store) % 3 == 0
        assert len(store) >= (reported[-1] if reported else 0)
        assert content(store) == content(in_memory(documents_of(len(store)), "fp16"))
