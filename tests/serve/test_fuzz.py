"""A few of the hostile requests that `bench/fuzz_http.py` sends in numbers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def test_hostile_requests_get_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises ``SystemExit`` with what repeats it where an answer is no documented status with a JSON body."""
    monkeypatch.syspath_prepend(str(BENCH))
    try:
        import fuzz_http

        seen = asyncio.run(fuzz_http.fuzz_application(1000, 7, fuzz_http.make_model(tmp_path / "mean")))
    finally:
        for name in ("fuzz_http", "fuzz_sockets"):
            sys.modules.pop(name, None)
    assert sum(seen.values()) == 1000
    assert seen[200] > 50
