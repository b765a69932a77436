"""No memory for a run, a run that ends with an error: halved, degraded or named, and nobody else is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cascaderank import Cascade, ProviderError, Stage
from graphs import make_failing, make_hungry
from ranking import random_texts, summary

# RLIMIT_AS is the process's own: nothing else on the machine goes short of memory.
_PROGRAM = """
import json, resource, sys
from pathlib import Path
from cascaderank import Cascade, Stage
hungry, small, room, workers, max_rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
texts = [f"red cat {'dog ' * (number % 5)}" for number in range(16)]
stages = [Stage(hungry, keep=8, max_rows=max_rows, token_budget=100000), Stage(small, keep=4)]
with Cascade(stages, workers=workers) as cascade:
    if sys.argv[6] == "warm":
        cascade.rank("red", texts[:1])
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + room, resource.getrlimit(resource.RLIMIT_AS)[1]))
    ranking = cascade.rank("red", texts)
    print(json.dumps({
        "order": ranking.order.tolist(), "reasons": ranking.reasons, "stages": [hit.stage for hit in ranking],
        "scored": [stage.scored for stage in ranking.trace.stages],
    }))
"""


def rank_with_little_memory(
    hungry: Path, small: Path, *, room_mb: int, max_rows: int, warm: bool
) -> dict[str, list[object]]:
    command = [
        sys.executable,
        "-c",
        _PROGRAM,
        str(hungry),
        str(small),
        str(room_mb * 1_000_000),
        "1",
        str(max_rows),
        "warm" if warm else "cold",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[object]] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc are Linux's")
def test_a_run_without_memory_is_halved_until_it_fits(tmp_path: Path, models: Path) -> None:
    """16 rows in one run need 16 x 64 MB; there is room for four or so. The answer is the one with enough memory."""
    hungry = make_hungry(tmp_path / "hungry", 64)
    plenty = rank_with_little_memory(hungry, models / "ce", room_mb=8000, max_rows=16, warm=True)
    little = rank_with_little_memory(hungry, models / "ce", room_mb=350, max_rows=16, warm=True)
    assert little == plenty
    assert little["reasons"] == []
    assert little["scored"] == [16, 8]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc are Linux's")
def test_a_stage_without_memory_for_one_row_is_left_out_and_the_answer_says_so(tmp_path: Path, models: Path) -> None:
    hungry = make_hungry(tmp_path / "hungry", 900)
    found = rank_with_little_memory(hungry, models / "ce", room_mb=300, max_rows=1, warm=False)
    assert found["reasons"] == ["memory: stage 'hungry' scored 0 of 16 candidates"]
    assert found["scored"] == [0, 16]
    assert set(found["stages"]) == {"ce"}


def test_a_run_that_fails_is_an_error_that_names_the_stage(tmp_path: Path) -> None:
    failing = make_failing(tmp_path / "failing", "fish")
    with Cascade([Stage(failing, keep=3)]) as cascade:
        expected = summary(cascade.rank("red", ["red cat", "dog"]))
        with pytest.raises(ProviderError, match=r"stage 'failing' on cpu: a run of the model failed: .*check"):
            cascade.rank("red", ["red cat", "a fish", "dog"])
        assert summary(cascade.rank("red", ["red cat", "dog"])) == expected


def test_a_request_that_fails_leaves_those_beside_it_alone(tmp_path: Path) -> None:
    failing = make_failing(tmp_path / "failing", "fish")
    texts = [text.replace("fish", "dog") for text in random_texts(40)]
    with Cascade([Stage(failing, keep=3)], workers=2) as cascade, ThreadPoolExecutor(4) as others:
        expected = summary(cascade.rank("red", texts))
        good = [others.submit(cascade.rank, "red", texts) for _ in range(8)]
        for _ in range(8):
            with pytest.raises(ProviderError):
                cascade.rank("red", [*texts, "fish"])
        assert all(summary(future.result()) == expected for future in good)
