"""The reports in a real browser: both colour schemes are drawn, nothing is fetched, they print."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cascaderank.calibrate.page import calibration_page
from cascaderank.evaluate.report.bench import bench_page
from cascaderank.evaluate.report.evaluation import evaluation_page
from cascaderank.tune.page import page as tune_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


NAME = "bi <b>&"
MACHINE = {"cores": 2, "processor": "a processor", "machine": "x"}
STAGES = [
    {"name": NAME, "model": "bi", "kind": "bi_encoder", "precision": "fp32", "provider": "cpu", "keep": 20,
     "weight": 1.0, "digest": "0" * 64}
]  # fmt: skip
CURVES = [
    {"method": method, "ece": ece, "ece_equal_mass": ece, "brier": 0.1, "log_loss": 0.3,
     "curve": [[0.1, 0.05, 10], [0.7, 0.6, 10]]}
    for method, ece in (("raw", 0.4), ("platt", 0.02), ("beta", 0.03))
]  # fmt: skip
RELIABILITY = [
    {"stage": NAME, "model": "bi", "pairs": 20, "relevant": 7, "fitted_on": {"data": "<lists>"}, "curves": CURVES[:2]}
]
SPREAD = {"p50": 3.0, "p95": 5.0, "p99": 6.0, "max": 7.0, "mean": 3.5}
QUERY = "a <script>alert(1)</script>"


def tuned() -> dict[str, Any]:
    """A small result by hand, with characters that a page must escape."""
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
        "machine": MACHINE,
        "cascade": {"fusion": "last", "stages": STAGES},
        "settings": {"queries": 40, "choosing": 20, "reporting": 20, "candidates": 30, "budget_ms": 100.0},
        "budget_reference": None, "population": {"text": "2 of 40 queries have no relevant candidate"},
        "warnings": ["few <queries>"],
        "costs": [{"stage": NAME, "fixed": 1.0, "per_pair": 0.1, "per_token": 0.001, "error": 0.02, "points": 9}],
        "overhead_ms": 0.3,
        "explored": {"choices": 9, "seconds": 0.01},
        "recommended": {"keeps": [20], "note": "", "best_keeps": [20], "choosing": row},
        "curves": [{"stage": NAME, "entering": 30, "tolerance": 0.01, "chosen": 20, "points": points}],
        "held_back": dict.fromkeys(("recommended", "cascade file", "best without cut-offs"), row),
        "folds": {"folds": 5, "queries": 40, "quality": 0.99, "latency": 0.1, "difference": -0.01,
                  "interval": [-0.1, 0.1], "recommended": row, "best_without_cut_offs": row,
                  "choices": [{"keeps": [20], "folds": 5}]},
        "reliability": RELIABILITY,
        "against_exhaustive": {"quality": 1.0, "latency": 0.1, "difference": 0.0, "interval": [-0.01, 0.01]},
        "against_first_pass": {"difference": 0.1, "interval": [-0.02, 0.2]},
        "front": [{"keeps": [5], "p50_ms": 3.0, "ndcg_10": 0.3, "held_back_ndcg_10": 0.31},
                  {"keeps": [20], "p50_ms": 12.0, "ndcg_10": 0.5, "held_back_ndcg_10": 0.47}],
        "cloud": [[3.0, 0.3], [12.0, 0.5], [20.0, 0.4]],
        "stages": [{"stage": NAME, "pays": True, "short": "needed", "reason": "it is the only stage"}],
        "guarantee": None,
        "per_query": {"note": "one stage: no later stage to save work for", "kinds": []},
        "check": {"requests": 20, "predicted_p50_ms": 12.0, "predicted_again_p50_ms": 11.1, "measured_p50_ms": 11.0,
                  "ms_error": 0.09, "ms_error_again": 0.01,
                  "predicted_ndcg_10": 0.5, "measured_ndcg_10": 0.5, "ndcg_differs": 0},
        "lost": [{"query_id": "q1", "query": QUERY, "relevant": 2, "lost": {NAME: 1}}],
    }  # fmt: skip


def evaluated() -> dict[str, Any]:
    """A small evaluation by hand, against itself, with an ablation."""
    value = {"mean": 0.5, "interval": [0.4, 0.6], "per_query": [0.4, 0.6]}
    measures = ("R@kept", "R@10", "R@20", "R@100", "nDCG@10", "RR@10", "Success@1", "Success@10", "AP")
    compared = {"difference": 0.1, "interval": [-0.1, 0.2], "p_value": 0.5}
    one = {
        "points": [
            {"name": name, "kept": kept, "values": dict.fromkeys(measures, value)}
            for name, kept in (("first pass", 30), (NAME, 20))
        ],
        "latency": {"ms": SPREAD, "stages": [{"name": NAME, "ms": SPREAD}, {"name": "nobody reached it", "ms": None}]},
    }
    return {
        **one, "format": 2, "data": "tiny & small, dev", "machine": MACHINE, "candidates": 30, "relevant_from": 1,
        "from_store": True, "few_queries": True, "cascade": {"fusion": "last", "stages": STAGES},
        "queries": [{"query_id": "q1", "query": QUERY}, {"query_id": "q2", "query": "two"}],
        "losses": [
            {"name": "first pass", "relevant_in": 4, "lost": 0, "queries": []},
            {"name": NAME, "relevant_in": 4, "lost": 1, "queries": [{"query_id": "q1", "lost": {"d<1>": 2}}]},
        ],
        "reliability": RELIABILITY,
        "against": one,
        "comparison": {"test": "a test", "measures": dict.fromkeys(measures, compared), "time_ratio": {"median": 2.0}},
        "ablation": [{"fusion": kind, "weights": weights, "values": dict.fromkeys(measures, value), "to_best": compared}
                     for kind, weights in (("last", None), ("rrf", [1.0, 0.25]))] + [
                     {"fusion": "weighted", "left_out": "no <calibration>"}],
    }  # fmt: skip


def calibrated() -> dict[str, Any]:
    """A small calibration by hand."""
    fitted_on = {"data": "<lists>", "queries": 9, "pairs": 20, "relevant": 7, "relevant_from": 1}
    methods = [{"method": curve["method"], "held_back": curve} for curve in CURVES]
    return {
        "machine": MACHINE, "model": NAME, "digest": "0" * 64, "fitted_on": fitted_on, "folds": 5, "bins": 15,
        "chosen": "platt", "helps": True, "methods": methods,
    }  # fmt: skip


def benched() -> dict[str, Any]:
    """A small bench by hand."""
    stage = {"name": NAME, "candidates_in": 30.0, "candidates_out": 20.0, "ms": SPREAD}
    point = {
        "name": QUERY, "kept": 20, "recall_kept": 1.0, "recall_10": 0.9, "ndcg_10": 0.5, "ndcg_10_interval": [0.4, 0.6]
    }  # fmt: skip
    return {
        "data": "tiny & small, dev", "machine": MACHINE, "settings": {"candidates": 30}, "quality": [point],
        "requests": [{"ms": 3.0}, {"ms": 7.0}],
        "latency": {"requests": 2, "concurrency": 1, "ms": SPREAD, "stages": [stage], "pairs_per_s": 9.0,
                    "tokens_per_s": 99.0, "padding": 0.1, "outside_share": 0.02},
    }  # fmt: skip


PAGES = {
    "tune": lambda: tune_page(tuned()),
    "evaluate": lambda: evaluation_page(evaluated()),
    "calibrate": lambda: calibration_page(calibrated()),
    "bench": lambda: bench_page(benched()),
}
PICTURES = {"tune": 3, "evaluate": 2, "calibrate": 2, "bench": 2}


@pytest.fixture(scope="module", params=PAGES)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def file(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / f"{kind}.html"
    path.write_text(PAGES[kind](), encoding="utf-8")
    return path


def test_texts_are_escaped_and_nothing_lies_outside(file: Path, kind: str) -> None:
    text = file.read_text(encoding="utf-8")
    for wrong in ("<script", "bi <b>", "<lists>", "<calibration>", "http:", "https:", "src=", "@import", "url("):
        assert wrong not in text
    assert "bi &lt;b&gt;&amp;" in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "$" not in text.split("</style>")[1]
    assert text.count("<svg") == text.count("</svg>") == PICTURES[kind]


def test_what_a_report_must_show() -> None:
    shown = {
        "tune": ("few &lt;queries&gt;", "no gain is proven", "held-back queries", "fold by fold", "Probabilities",
                 "ECE 0.020", "lost by"),
        "evaluate": ("recall@kept", "P99 ms", "did not find 0 of 4", "d&lt;1&gt; (2)", "ECE 0.020", "2.00 times",
                     "weighted left out", "Few queries"),
        "calibrate": ("Chosen: platt", "platt ← chosen", "ECE 0.400", "&lt;lists&gt;"),
        "bench": ("P99 ms", "9 pairs/s", "0.500 (0.400 to 0.600)"),
    }  # fmt: skip
    for kind, texts in shown.items():
        text = PAGES[kind]()
        for one in texts:
            assert one in text, (kind, one)


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
def test_a_page_prints(tmp_path: Path) -> None:
    """The longest of them; all have the same style."""
    file, paper = tmp_path / "tune.html", tmp_path / "report.pdf"
    file.write_text(PAGES["tune"](), encoding="utf-8")
    assert chromium(file, tmp_path / "print", f"--print-to-pdf={paper}", "--no-pdf-header-footer") == []
    assert paper.read_bytes().startswith(b"%PDF")


@needs_chromium
def test_a_page_that_fetches_would_be_seen(tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    other.write_text("<img src='http://outside.test/picture.png'>", encoding="utf-8")
    found = chromium(other, tmp_path / "other", "--dump-dom")
    assert found == ["http://outside.test/picture.png"]
