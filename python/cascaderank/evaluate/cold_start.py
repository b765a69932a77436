"""What a fresh process needs before its first answer, measured in one: import, load, first request, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cascaderank.cascade import Cascade
from cascaderank.errors import CascadeError
from cascaderank.evaluate.requests import Request
from cascaderank.store import Store

_TIMEOUT_S = 600
_PROGRAM = """
import sys, time
begun = time.perf_counter()
import cascaderank
import_ms = (time.perf_counter() - begun) * 1e3
from cascaderank.evaluate.cold_start import answer_job
answer_job(sys.argv[1], import_ms)
"""


def measure_cold_start(cascade_file: Path | None, request: Request, store: Store | None) -> dict[str, float]:
    """Start Python, load the cascade (the default one for None) and the store, answer one request, then again.

    Milliseconds: ``process_ms`` (start to end of the process), ``import_ms``, ``load_ms``, ``store_ms``,
    ``first_request_ms``, ``second_request_ms``, ``ready_ms`` (import, load and store). ``peak_mb`` is the process's
    largest resident size.
    """
    with tempfile.TemporaryDirectory(prefix="cascaderank-") as folder:
        file = Path(folder, "request.json")
        path = None
        if store is not None:
            path = str(Path(folder, "store"))
            store.save(path)
        job: dict[str, Any] = {
            "cascade": None if cascade_file is None else str(cascade_file),
            "query": request.query,
            "ids": request.ids,
            "texts": [] if store is not None else [document.text for document in request.documents],
            "scores": request.scores,
            "store": path,
        }
        file.write_text(json.dumps(job), encoding="utf-8")
        begun = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _PROGRAM, str(file)],
                capture_output=True, text=True, check=False, timeout=_TIMEOUT_S,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CascadeError(f"cold start: the measuring process did not answer: {error}") from None
        ms = (time.perf_counter() - begun) * 1e3
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise CascadeError(f"cold start: the measuring process ended with {done.returncode}: {last[0]}")
    found: dict[str, float] = json.loads(done.stdout)
    return {"process_ms": ms, **found}


def peak_mb() -> float | None:
    """Largest resident size of this process so far in MB (10^6 bytes); None where the system does not tell.

    Linux: VmHWM, since getrusage's figure starts from the size of the process that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(float(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(size) / 1e6 if sys.platform == "darwin" else float(size) * 1024 / 1e6


def answer_job(file: str, import_ms: float) -> None:
    """The measured process's part: answer the request in ``file`` twice and print what it took as JSON."""
    job = json.loads(Path(file).read_text(encoding="utf-8"))
    started = time.perf_counter()
    cascade = Cascade.default() if job["cascade"] is None else Cascade.load(job["cascade"])
    loaded = time.perf_counter()
    store = None if job["store"] is None else Store.open(job["store"])
    stored = time.perf_counter()
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        if store is None:
            documents = [{"id": name, "text": text} for name, text in zip(job["ids"], job["texts"], strict=True)]
            cascade.rank(job["query"], documents, scores=job["scores"])
        else:
            cascade.rank(job["query"], ids=job["ids"], scores=job["scores"], store=store)
        times.append((time.perf_counter() - begun) * 1e3)
    cascade.close()
    load_ms, store_ms = (loaded - started) * 1e3, (stored - loaded) * 1e3
    result = {
        "import_ms": import_ms,
        "load_ms": load_ms,
        "store_ms": store_ms,
        "ready_ms": import_ms + load_ms + store_ms,
        "first_request_ms": times[0],
        "second_request_ms": times[1],
        "peak_mb": peak_mb(),
    }
    json.dump(result, sys.stdout)
