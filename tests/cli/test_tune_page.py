"""The report in a real browser: both colour schemes are drawn, nothing is fetched, it prints."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cascaderank.tune.page import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def result() -> dict[str, Any]:
    """A small result by hand, with characters that a page must escape."""
    name = "bi <b>&"
    row = {
        "keeps": [20], "ndcg_10": 0.5, "ndcg_10_interval": [0.4, 0.6], "recall": 0.9, "recall_interval": [0.8, 1.0],
        "p50_ms": 12.0, "mean_ms": 13.0, "pairs": [30.0],
    }  # fmt: skip
    points = [
        {"keep": keep, "recall": keep / 30, "recall_interval": [keep / 40, keep / 30], "loss": 1 - keep / 30,
         "loss_interval": [0.0, 1 - keep / 30]}
        for keep in (5, 20, 30)
    ]  # fmt: skip
    return {
        "data": "tiny & small, dev",
        "machine": {"cores": 2, "processor": "a processor", "machine": "x"},
        "cascade": {"fusion": "last", "stages": [
            {"name": name, "model": "bi", "kind": "bi_encoder", "precision": "fp32", "provider": "cpu", "keep": 20,
             "digest": "0" * 64}
        ]},
        "settings": {"queries": 40, "choosing": 20, "reporting": 20, "candidates": 30, "budget_ms": 100.0},
        "warnings": ["few <queries>"],
        "costs": [{"stage": name, "fixed": 1.0, "per_pair": 0.1, "per_token": 0.001, "error": 0.02, "points": 9}],
        "overhead_ms": 0.3,
        "explored": {"choices": 9, "seconds": 0.01},
        "recommended": {"keeps": [20], "note": "", "best_keeps": [20], "choosing": row},
        "curves": [{"stage": name, "entering": 30, "tolerance": 0.01, "chosen": 20, "points": points}],
        "held_back": dict.fromkeys(("recommended", "cascade file", "best without cut-offs"), row),
        "against_exhaustive": {"quality": 1.0, "latency": 0.1, "difference": 0.0, "interval": [-0.01, 0.01]},
        "front": [{"keeps": [5], "p50_ms": 3.0, "ndcg_10": 0.3, "held_back_ndcg_10": 0.31},
                  {"keeps": [20], "p50_ms": 12.0, "ndcg_10": 0.5, "held_back_ndcg_10": 0.47}],
        "cloud": [[3.0, 0.3], [12.0, 0.5], [20.0, 0.4]],
        "stages": [{"stage": name, "pays": True, "reason": "it is the only stage"}],
        "guarantee": None,
        "per_query": {"note": "one stage: no later stage to save work for", "kinds": []},
        "check": {"requests": 20, "predicted_p50_ms": 12.0, "measured_p50_ms": 11.0, "ms_error": 0.09,
                  "predicted_ndcg_10": 0.5, "measured_ndcg_10": 0.5, "ndcg_differs": 0},
        "lost": [{"query_id": "q1", "query": "a <script>alert(1)</script>", "relevant": 2, "lost": {name: 1}}],
    }  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(result()), encoding="utf-8")
    return path


def test_texts_are_escaped(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "bi <b>" not in text
    assert "few &lt;queries&gt;" in text


def chromium(page_file: Path, folder: Path, *more: str) -> list[str]:
    """Open a page; returns the addresses that a page asked for, by the browser's log. The browser's own services ask
    too; their requests start from no page ("not an origin")."""
    assert CHROMIUM is not None
    log = folder / "net.json"
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
        "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}", "--window-size=900,3000", *more, page_file.as_uri(),
    ]  # fmt: skip
    folder.mkdir()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    events = json.loads(log.read_text(encoding="utf-8"))["events"]
    asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
    return sorted({str(request["url"]) for request in asked if request["initiator"] != "not an origin"})


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the report is not opened in a browser")


@needs_chromium
def test_both_colour_schemes_are_drawn_and_nothing_is_fetched(file: Path, tmp_path: Path) -> None:
    """The corner of the picture is paper: light in one, dark in the other; and the body is not blank."""
    image = pytest.importorskip("matplotlib.image", reason="reading a picture needs matplotlib")
    corners = []
    for scheme in (0, 1):  # dark, light
        shot = tmp_path / f"{scheme}.png"
        more = (f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={shot}")
        assert chromium(file, tmp_path / str(scheme), *more) == []
        pixels = image.imread(shot)[..., :3]
        corners.append(float(pixels[2, 2].mean()))
        assert pixels.std() > 0.05
    assert corners[0] < 0.3 < 0.9 < corners[1]


@needs_chromium
def test_the_page_prints(file: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    assert chromium(file, tmp_path / "print", f"--print-to-pdf={paper}", "--no-pdf-header-footer") == []
    assert paper.read_bytes().startswith(b"%PDF")


@needs_chromium
def test_a_page_that_fetches_would_be_seen(tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("<img src='http://outside.test/picture.png'>", encoding="utf-8")
    found = chromium(other, tmp_path / "other", "--dump-dom")
    assert found == ["http://outside.test/picture.png"]
