"""Kills a writer at chosen lines of the store's code; test_crash.py runs ``python crashes.py OPERATION FOLDER POINTS``.

Each crash point is a child of its own, forked from this process, which has no threads. The child counts the lines of
``cascaderank/store`` that it executes and ends itself with SIGKILL before the chosen one, so no ``finally`` and no
``except`` runs, as with power gone. (What the disk had not yet been told to keep is a different question: a kill loses
nothing that was written. Files are synced before they are named, and every truncation of a named file is refused.)
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cascaderank.store
from cascaderank.store import Store, Writer
from stores import content, documents_of, part_of, schema

STORE = str(Path(cascaderank.store.__file__).parent)


def create(folder: Path) -> None:
    with Writer(folder, schema("int8")) as writer:
        writer.add(part_of(documents_of(6)))
        writer.commit()


def append(folder: Path) -> None:
    """Two new documents, one that replaces, one deletion."""
    with Writer(folder) as writer:
        writer.add(part_of({"d2": "changed", "x": "new", "y": "newer"}))
        writer.delete(["d4"])
        writer.commit()


def compact(folder: Path) -> None:
    with Writer(folder) as writer:
        writer.compact()


def replace(folder: Path) -> None:
    with Writer(folder, schema("fp16"), replace=True) as writer:
        writer.add(part_of(documents_of(3, word="other")))
        writer.commit()


OPERATIONS: dict[str, Callable[[Path], None]] = {"append": append, "compact": compact, "replace": replace}


def run_child(operation: Callable[[Path], None], folder: Path, line: int | None) -> int:
    """Lines executed (``line`` None), or -1 when the child was killed before line ``line``."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        executed = 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal executed
            if not frame.f_code.co_filename.startswith(STORE):
                return None
            if event == "line":
                if executed == line:
                    os.kill(os.getpid(), signal.SIGKILL)
                executed += 1
            return trace

        sys.settrace(trace)
        operation(folder)
        sys.settrace(None)
        os.write(writing, str(executed).encode())
        os._exit(0)
    os.close(writing)
    told = os.read(reading, 32)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return -1
    if os.WEXITSTATUS(status) != 0:
        raise SystemExit("the child failed")
    return int(told)


def main(name: str, base: Path, points: int) -> None:
    operation = OPERATIONS[name]
    start = base / "start"
    create(start)
    if name == "compact":
        append(start)
    before = content(Store.open(start))
    whole = base / "whole"
    shutil.copytree(start, whole)
    lines = run_child(operation, whole, None)
    after = content(Store.open(whole))
    if name != "compact" and before == after:
        raise SystemExit("the operation changes nothing")
    seen = {"before": 0, "after": 0}
    for point in sorted({lines * number // points for number in range(points)}):
        folder = base / f"at{point}"
        shutil.copytree(start, folder)
        if run_child(operation, folder, point) != -1:
            raise SystemExit(f"line {point} of {lines} was never reached")
        store = Store.open(folder)
        store.verify()
        found = content(store)
        if found not in (before, after):
            raise SystemExit(f"killed before line {point} of {lines}: neither the old state nor the new one")
        seen["after" if found == after else "before"] += 1
        operation(folder)  # the next writer is not in the way of anything
        finished = Store.open(folder)
        finished.verify()
        named = {file.name for segment in finished.manifest.segments for file in segment.all_files}
        left = {item.name for item in folder.iterdir()} - named - {"lock", "store.json"}
        if content(finished) != after or left:
            raise SystemExit(f"after a crash before line {point}: another state, or files left over: {left}")
        shutil.rmtree(folder)
    print(json.dumps({"lines": lines, **seen}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
