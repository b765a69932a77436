"""``cascaderank bench --rate`` and ``--sweep`` on tiny models."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from cascaderank import Cascade
from cascaderank.cli.main import main
from cascaderank.evaluate import load_beir, ndcg
from cascaderank.evaluate.load import InProcess, Reply
from cascaderank.evaluate.requests import candidate_documents, make_requests

FAST = ("--settle", "0.05", "--step-duration", "0.15", "--lateness-ms", "10000")


def mean_ndcg(cascade_file: Path, beir: Path, query_ids: list[str]) -> float:
    """Of the library's own rankings of these queries, one by one."""
    data = load_beir(beir, "test")
    with Cascade.load(cascade_file) as cascade:
        store = cascade.encode(candidate_documents(requests := make_requests(data, 1000)))
        values = {
            request.query_id: ndcg(data.qrels[request.query_id], [hit.id for hit in request.answer(cascade, store)])
            for request in requests
        }
    return sum(values[query_id] for query_id in query_ids) / len(query_ids)


def test_one_rate(cascade_file: Path, beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, hgrm = tmp_path / "load.json", tmp_path / "load.hgrm"
    arguments = ["bench", str(cascade_file), "--data", str(beir), "--rate", "100", "--duration", "0.8", *FAST]
    assert main([*arguments, "--deadline-ms", "10000", "--json", str(out), "--hgrm", str(hgrm)]) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    load = found["load"]
    assert load["answered"] == load["requests"] == load["in_time"] > 40
    assert load["in_time_share"] == 1.0
    assert [stage["name"] for stage in load["stages"]] == ["before", "bi", "ce"]
    assert load["ms"]["p50"] <= load["ms"]["p99"] <= load["ms"]["p999"] <= load["ms"]["max"]
    assert found["settings"]["deadline_ms"] == 10000
    sent = found["requests"]
    assert len(sent) > load["requests"]  # what came before the measurement is there, too
    measured = [one["query_id"] for one in sent if one["due_s"] >= 0.05]
    assert load["ndcg_10"] == pytest.approx(mean_ndcg(cascade_file, beir, measured))
    assert all(one["due_s"] <= one["sent_s"] <= one["done_s"] for one in sent)
    assert f"Total count    = {load['requests']:12d}" in hgrm.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    for text in ("a cascade of this process", "goodput", "in all, from when it was due", "nDCG@10", "too few requests"):
        assert text in printed


def test_the_histogram_file_holds_who_was_never_answered(
    cascade_file: Path, beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They waited, too: without them a run whose every second request hangs would look fast."""
    out, hgrm = tmp_path / "load.json", tmp_path / "load.hgrm"
    arguments = ["bench", str(cascade_file), "--data", str(beir), "--rate", "100", "--duration", "0.3", *FAST]
    main([*arguments, "--timeout-s", "1e-6", "--json", str(out), "--hgrm", str(hgrm)])
    load = json.loads(out.read_text(encoding="utf-8"))["load"]
    assert load["unanswered"] == load["requests"] > 10
    assert f"Total count    = {load['requests']:12d}" in hgrm.read_text(encoding="utf-8")
    capsys.readouterr()


def test_a_late_request_has_less_time(cascade_file: Path, beir: Path) -> None:
    """As with anybody who was held up before he could ask; who has no time left is answered at once all the same."""
    requests = make_requests(load_beir(beir, "test"), 1000)
    with Cascade.load(cascade_file) as cascade:
        target = InProcess(cascade, cascade.encode(candidate_documents(requests)), 60_000.0)

        async def answers() -> list[Reply]:
            return [await target.answer(requests[0], late_ms) for late_ms in (0.0, 60_000.0, 70_000.0)]

        replies = asyncio.run(answers())
    assert [reply.status for reply in replies] == ["answered", "answered", "answered"]
    assert [reply.degraded for reply in replies] == [False, True, True]


def test_a_sweep(cascade_file: Path, beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, plot = tmp_path / "sweep.json", tmp_path / "sweep.svg"
    arguments = ["bench", str(cascade_file), "--data", str(beir), "--sweep", "--duration", "0.3", *FAST]
    arguments += ["--shares", "70", "150", "--json", str(out), "--plot", str(plot)]
    assert main(arguments) == 0
    found = json.loads(out.read_text(encoding="utf-8"))["sweep"]
    assert [point["share"] for point in found["points"]] == [0.7, 1.5]
    for point in found["points"]:
        assert point["rate"] == pytest.approx(point["share"] * found["saturation_rate"])
    assert found["closed_loop"]["throughput_per_s"] > 0
    assert 0.9 < found["closed_loop"]["ndcg_10"] <= 1.0
    names = [bar["bar"] for bar in found["bars"]]
    assert names == ["P99 over P50 at 70 %", "goodput over the saturated throughput at 150 %"]
    printed = capsys.readouterr().out
    assert re.search(r"saturation at \d", printed)
    assert "<svg" in plot.read_text(encoding="utf-8")


def test_a_driver_too_late_is_a_failure(cascade_file: Path, beir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is allowed but 10 % of a P50 of milliseconds, and a sleep is rounded up to the next millisecond."""
    arguments = ["bench", str(cascade_file), "--data", str(beir), "--rate", "30", "--duration", "0.6"]
    assert main([*arguments, "--settle", "0.01", "--lateness-ms", "1e-6"]) == 1
    assert "NOT VALID: the driver itself sent late" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "http://localhost:1"], "--url belongs to an open loop"),
        (["--hgrm", "x.hgrm"], "--hgrm belongs to an open loop"),
        (["--rate", "5", "--sweep"], "choose one"),
        (["--rate", "5", "--reference"], "closed loop"),
        (["--rate", "5", "--plot", "x.png"], "several rates"),
        (["--sweep", "--hgrm", "x.hgrm"], "one rate"),
        (["--rate", "5", "--api", "tei"], "give --url"),
        (["--rate", "5", "--url", "http://localhost:1", "--store", "x"], "no cascade file"),
        (["--rate", "0"], "not a positive number"),
    ],
)
def test_contradictions_are_usage_errors(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
