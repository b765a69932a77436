"""``cascaderank bench`` on a small folder in BEIR's layout, and the arithmetic under it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cascaderank import Cascade, Stage
from cascaderank.cli.main import main
from cascaderank.errors import InputError
from cascaderank.evaluate import load_beir, ndcg
from cascaderank.evaluate.latency import LatencyRun, Timing, measure_latency, spread, summarize
from cascaderank.evaluate.plot import check_plot
from cascaderank.evaluate.quality import measure_quality
from cascaderank.evaluate.requests import candidate_documents, evenly, make_requests
from cascaderank.evaluate.variants import last_alone, prefix_configs
from cascaderank.results import StageTrace, Trace


def bench(cascade_file: Path, beir: Path, tmp_path: Path, *more: str) -> dict[str, Any]:
    out = tmp_path / "bench.json"
    arguments = ["bench", str(cascade_file), "--data", str(beir), "--requests", "7", "--json", str(out), *more]
    assert main(arguments) == 0
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def test_everything_at_once(cascade_file: Path, beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "plot.html"
    found = bench(cascade_file, beir, tmp_path, "--reference", "--reference-queries", "2", "--plot", str(plot))
    latency = found["latency"]
    assert [stage["name"] for stage in latency["stages"]] == ["bi", "ce"]
    assert latency["stages"][0]["candidates_in"] == 6
    assert latency["stages"][1]["candidates_in"] == 4
    assert 0 < latency["ms"]["p50"] <= latency["ms"]["p95"] <= latency["ms"]["p99"] <= latency["ms"]["max"]
    assert 0 < latency["outside_share"] < 1
    assert latency["pairs_per_s"] == pytest.approx(7 * 4 / latency["wall_s"])
    assert len(found["requests"]) == 7
    assert found["settings"]["from_store"] is True
    cold = found["cold_start"]
    assert cold["ready_ms"] == pytest.approx(cold["import_ms"] + cold["load_ms"] + cold["store_ms"])
    assert 0 < cold["first_request_ms"] < cold["process_ms"]
    assert [point["name"] for point in found["quality"]] == ["first pass", "bi", "ce"]
    assert found["reference"]["model"] == "ce"
    assert len(found["reference"]["per_query"]["cascade_ms"]) == 2
    printed = capsys.readouterr().out
    for text in ("P99 ms", "in all", "cold start", "outside session.run", "recall@kept", "times as fast", "nDCG@10"):
        assert text in printed
    page = plot.read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "http" not in page  # self-contained


def test_quality_is_that_of_the_orders(cascade_file: Path, beir: Path) -> None:
    """Recomputed by hand from the library's rankings, stage by stage."""
    data = load_beir(beir, "test")
    requests = make_requests(data, 6)
    with Cascade.load(cascade_file) as cascade:
        store = cascade.encode(candidate_documents(requests))
        points = measure_quality(cascade, requests, data.qrels, store)
        finals = [[hit.id for hit in request.answer(cascade, store)] for request in requests]
    assert [point.kept for point in points] == [6, 4, 2]
    expected = [ndcg(data.qrels[request.query_id], final) for request, final in zip(requests, finals, strict=True)]
    assert points[-1].ndcg_10 == pytest.approx(expected)
    assert points[0].recall_kept == (1.0, 1.0, 1.0)  # all six documents are candidates
    # ce counts equal words: q1's answer shares three, q3's relevant two share two and one.
    assert points[-1].ndcg_10[0] == 1.0
    assert points[-1].recall_kept[1] == 1.0


def test_raw_texts_are_encoded_in_the_request(cascade_file: Path, beir: Path, tmp_path: Path) -> None:
    found = bench(cascade_file, beir, tmp_path, "--raw", "--no-quality", "--no-cold-start")
    assert found["settings"]["from_store"] is False
    assert "quality" not in found
    assert "cold_start" not in found
    assert "without stored vectors" in found["requests"][0]["trace"]["stages"][0]["note"]


def test_store_is_written_then_read(cascade_file: Path, beir: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    more = ("--store", str(store), "--no-quality", "--no-cold-start", "--concurrency", "3")
    first = bench(cascade_file, beir, tmp_path, *more)
    written = (store / "store.json").read_bytes()
    second = bench(cascade_file, beir, tmp_path, *more)
    assert (store / "store.json").read_bytes() == written
    assert first["latency"]["concurrency"] == second["latency"]["concurrency"] == 3


def test_png_by_matplotlib(cascade_file: Path, beir: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="a PNG plot needs the bench extra")
    plot = tmp_path / "plot.png"
    bench(cascade_file, beir, tmp_path, "--no-cold-start", "--plot", str(plot))
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_deadline_is_counted(cascade_file: Path, beir: Path, tmp_path: Path) -> None:
    found = bench(cascade_file, beir, tmp_path, "--deadline-ms", "0.001", "--no-quality", "--no-cold-start")
    assert found["latency"]["degraded"] == 7
    assert found["latency"]["pairs_per_s"] == 0


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--split", "dev"], 1, "dev.tsv: no such split"),
        (["--plot", "x.pdf"], 1, "a plot is .png or .html"),
        (["--raw", "--store", "x"], 2, "choose one"),
        (["--json", "no/such/folder/x.json"], 2, "not a folder"),
    ],
)
def test_what_cannot_work_is_said_before_the_work(
    more: list[str], code: int, said: str, cascade_file: Path, beir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", str(cascade_file), "--data", str(beir), *more]
    if code == 2:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
    else:
        assert main(arguments) == 1
    assert said in capsys.readouterr().err


def test_spread_gives_measured_values() -> None:
    assert spread([float(value) for value in range(1, 101)]) == {
        "p50": 50.0,
        "p95": 95.0,
        "p99": 99.0,
        "max": 100.0,
        "mean": 50.5,
    }
    assert spread([3.0]) == {"p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0, "mean": 3.0}


def test_summary_adds_up() -> None:
    def timing(ms: float, tokens: int, padding: float, model_ms: float) -> Timing:
        cheap = StageTrace("bi", "bi_encoder", "cpu", 100, 100, 10, tokens=5, total_ms=1.0)
        stage = StageTrace(
            "ce", "cross_encoder", "cpu", 10, 10, 5, tokens=tokens, padding=padding, model_ms=model_ms, total_ms=ms - 1
        )
        return Timing("q", ms, False, Trace((cheap, stage), ms, 0.0, 0.0))

    found = summarize(LatencyRun((timing(10.0, 100, 0.5, 8.0), timing(20.0, 300, 0.0, 15.0)), 0.1, 1))
    assert found["pairs_per_s"] == pytest.approx(200.0)  # the bi-encoder's dot products are no pairs
    assert found["tokens_per_s"] == pytest.approx(4100.0)
    assert found["stages"][1]["padding"] == pytest.approx(1 - 400 / 500)
    assert found["outside_share"] == pytest.approx(7 / 30)
    assert found["stages"][1]["tokens_per_pair"] == 20.0
    assert found["stages"][0]["ms"]["max"] == 1.0


def test_every_request_is_sent_once_whatever_the_concurrency(cascade_file: Path, beir: Path) -> None:
    requests = make_requests(load_beir(beir, "test"), 6)
    seen: list[tuple[int, int]] = []
    with Cascade.load(cascade_file) as cascade:
        run = measure_latency(
            cascade, requests, None, repeats=8, concurrency=4, progress=lambda done, total: seen.append((done, total))
        )
    assert [timing.query_id for timing in run.timings] == ["q1", "q2", "q3", "q1", "q2", "q3", "q1", "q2"]
    assert sorted(seen) == [(done, 8) for done in range(1, 9)]


def test_variants(models: Path) -> None:
    stages = [Stage(models / "bi", keep=4, weight=0.0), Stage(models / "ce", keep=2, min_score=1.0)]
    with Cascade(stages, fusion="convex", deadline_ms=50.0) as cascade:
        assert prefix_configs(cascade.config) == [None]  # weight 0: it cuts and leaves the order
        alone = last_alone(cascade.config)
    assert (alone.fusion, alone.deadline_ms, len(alone.stages)) == ("last", None, 1)
    assert alone.stages[0].keep == cascade.config.max_candidates
    assert alone.stages[0].min_score is None


def test_evenly_takes_from_the_whole() -> None:
    requests: Any = list(range(10))
    assert evenly(requests, 3) == [0, 3, 6]
    assert evenly(requests, 20) == requests


def test_plot_of_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"\.pdf"):
        check_plot(Path("x.pdf"))
