"""``cascaderank evaluate`` on a small folder in BEIR's layout, with results known by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from calibrated import add_calibration
from cascaderank import Cascade, Store
from cascaderank.cli.labelled import read_labelled
from cascaderank.cli.main import build_parser, main
from cascaderank.config import read_config
from cascaderank.evaluate import load_beir
from cascaderank.evaluate.candidates import requests_by_vectors
from cascaderank.evaluate.report.html import write_page
from tiny import make_cross_encoder, make_encoder

pytest.importorskip("ir_measures", reason="needs ir-measures: pip install 'cascaderank[evaluate]'")
pytest.importorskip("scipy", reason="needs scipy: pip install 'cascaderank[evaluate]'")


@pytest.fixture
def run(cascade_file: Path, beir: Path, tmp_path: Path) -> Any:
    def evaluate(*more: str | Path) -> dict[str, Any]:
        out = tmp_path / "evaluation.json"
        arguments = ["evaluate", str(cascade_file), "--data", str(beir), "--split", "test", "--json", str(out)]
        assert main([*arguments, *map(str, more)]) == 0
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found

    return evaluate


@pytest.fixture
def worst(models: Path) -> Path:
    """One stage, the bi-encoder, that keeps a single candidate."""
    file = models / "worst.toml"
    file.write_text('[[stage]]\nmodel = "bi"\nkeep = 1\n', encoding="utf-8")
    return file


def test_every_stage_is_measured_and_its_losses_are_named(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = run()
    points = {point["name"]: point for point in found["points"]}
    assert list(points) == ["first pass", "bi", "ce"]
    assert [point["kept"] for point in found["points"]] == [6, 4, 2]
    ce = points["ce"]["values"]
    # ce counts equal words: it puts q1's, q2's and q3's answers first; q3's second answer shares one word.
    assert ce["Success@1"]["per_query"] == [1.0, 1.0, 1.0]
    assert ce["RR@10"]["mean"] == 1.0
    low, high = points["bi"]["values"]["nDCG@10"]["interval"]
    assert 0 <= low <= points["bi"]["values"]["nDCG@10"]["mean"] <= high <= 1
    # What recall at the cut-off says is lost is listed, and nothing else.
    relevant = {"q1": {"d2"}, "q2": {"d3"}, "q3": {"d4", "d2"}}
    for before, after, losses in zip(found["points"], found["points"][1:], found["losses"][1:], strict=False):
        lost = {entry["query_id"]: set(entry["lost"]) for entry in losses["queries"]}
        for place, (query, documents) in enumerate(relevant.items()):
            shares = [point["values"]["R@kept"]["per_query"][place] for point in (before, after)]
            assert len(lost.get(query, ())) == pytest.approx((shares[0] - shares[1]) * len(documents))
            assert lost.get(query, set()) <= documents
    assert found["losses"][0]["lost"] == 0  # all six documents are candidates
    assert {stage["name"]: stage["requests"] for stage in found["latency"]["stages"]} == {"bi": 3, "ce": 3}
    assert found["few_queries"] is True
    printed = capsys.readouterr().out
    for text in ("recall@kept", "MAP", "P99", "3 queries are few", "did not find 0 of 4", "ce lost"):
        assert text in printed


def test_the_report_is_a_page_and_knows_what_probabilities_are_worth(
    run: Any, models: Path, beir: Path, tmp_path: Path
) -> None:
    """The counting model calibrated: what `evaluate` says of it are the pairs that its stage scored, and no others."""
    add_calibration(make_cross_encoder(tmp_path / "ce"), a=2.0, b=-3.0)
    cascade = tmp_path / "calibrated.toml"
    cascade.write_text(
        f'[[stage]]\nmodel = "{models / "bi"}"\nkeep = 4\n[[stage]]\nmodel = "ce"\nkeep = 2\n', encoding="utf-8"
    )
    page, out = tmp_path / "page.html", tmp_path / "out.json"
    arguments = ["evaluate", cascade, "--data", beir, "--split", "test", "--json", out, "--report", page]
    assert main([str(argument) for argument in arguments]) == 0
    (found,) = json.loads(out.read_text(encoding="utf-8"))["reliability"]
    assert (found["stage"], found["pairs"]) == ("ce", 3 * 4)
    assert [curve["method"] for curve in found["curves"]] == ["raw", "platt"]
    assert "Solid: platt" in page.read_text(encoding="utf-8")
    assert run()["reliability"] == []  # no calibration: its scores promise nothing


def test_two_cascades_are_compared_by_query(run: Any, worst: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run("--against", worst)
    assert found["against"]["points"][-1]["kept"] == 1
    for name, comparison in found["comparison"]["measures"].items():
        ends = [side["points"][-1]["values"][name]["per_query"] for side in (found, found["against"])]
        assert comparison["difference"] == pytest.approx(sum(a - b for a, b in zip(*ends, strict=True)) / 3)
        assert 0 < comparison["p_value"] <= 1
    assert "randomisation test" in found["comparison"]["test"]
    printed = capsys.readouterr().out
    assert "times as long" in printed
    assert f"against {worst}:" in printed.replace("\n", "")


def test_against_itself_nothing_differs(run: Any, cascade_file: Path) -> None:
    measures = run("--against", cascade_file)["comparison"]["measures"]
    assert {(found["difference"], found["p_value"]) for found in measures.values()} == {(0.0, 1.0)}


def test_fusions_are_compared_and_what_cannot_run_is_named(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = {entry["fusion"]: entry for entry in run("--ablation")["ablation"]}
    assert set(found) == {"last", "rrf", "convex", "weighted"}
    assert "needs a fitted [calibration]" in found["weighted"]["left_out"]
    assert found["last"]["values"]["nDCG@10"]["mean"] == pytest.approx(1.0, abs=0.1)
    assert max(entry["to_best"]["difference"] for entry in found.values() if "to_best" in entry) == 0.0
    assert "weighted left out" in capsys.readouterr().out


def test_a_fusion_is_not_compared_under_another_one_s_weights(models: Path, beir: Path, tmp_path: Path) -> None:
    """The file's weights are for log-odds, .98 of them for a model that counts no words; only `weighted` has them."""
    add_calibration(make_encoder(tmp_path / "bi"), a=1.0, b=0.0)
    add_calibration(make_cross_encoder(tmp_path / "ce"), a=1.0, b=0.0)
    stages = "".join(
        f'[[stage]]\nmodel = "{name}"\nkeep = 6\nweight = {w}\n' for name, w in (("bi", 0.98), ("ce", 0.01))
    )
    line, own = "first_calibration = {a = 1, b = 0}", "weights = {first = 0.01}"
    found = {}
    for name, head in (("file", f'fusion = "weighted"\n{line}\n{own}\n'), ("equal", 'fusion = "rrf"\n')):
        file, out = tmp_path / f"{name}.toml", tmp_path / f"{name}.json"
        text = f"[cascade]\n{head}{stages}"
        file.write_text(text if name == "file" else re.sub("weight = .*", "", text), encoding="utf-8")
        arguments = ["evaluate", file, "--data", beir, "--split", "test", "--ablation", "--json", out]
        assert main([str(argument) for argument in arguments]) == 0
        found[name] = {entry["fusion"]: entry for entry in json.loads(out.read_text(encoding="utf-8"))["ablation"]}
    weights = {kind: entry["weights"] for kind, entry in found["file"].items()}
    assert weights == {"last": None, "rrf": [1, 1, 1], "convex": [1, 1, 1], "weighted": [0.01, 0.98, 0.01]}
    for kind in ("rrf", "convex"):
        assert found["file"][kind]["values"] == found["equal"][kind]["values"]


def test_a_name_that_is_no_utf_8_spoils_no_report(run: Any, beir: Path, tmp_path: Path) -> None:
    folder, page = tmp_path / os.fsdecode(b"be\xff"), tmp_path / "page.html"
    try:
        shutil.copytree(beir, folder)
    except OSError:
        pytest.skip("this file system takes no name that is not UTF-8")
    assert run("--data", folder, "--report", page)["data"] == "be\\udcff, test, BM25"
    assert "be\\udcff, test" in page.read_text(encoding="utf-8")
    write_page("\ud800", page)
    assert page.read_text(encoding="utf-8") == "\\ud800"


@pytest.mark.parametrize("first_pass", ["dense", "hybrid"])
def test_other_first_passes(run: Any, first_pass: str) -> None:
    found = run("--first-pass", first_pass, "--candidates", "5")
    assert found["candidates"] == 5
    assert ("BM25 + bi" if first_pass == "hybrid" else "bi") in found["data"]


def test_files_of_trec(cascade_file: Path, beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qrels, queries, run_file = tmp_path / "qrels", tmp_path / "queries.tsv", tmp_path / "run"
    qrels.write_text("q1 0 d2 1\nq2 0 d3 1\n", encoding="utf-8")
    queries.write_text("q1\tred cat dog\nq2\tgreen fish\n", encoding="utf-8")
    run_file.write_text("q1 Q0 d1 1 3.0 t\nq1 Q0 d2 2 3.0 t\n", encoding="utf-8")
    arguments = ["evaluate", cascade_file, "--corpus", beir / "corpus.jsonl", "--queries-file", queries]
    arguments += ["--qrels", qrels, "--run", run_file, "--json", tmp_path / "out.json"]
    assert main([str(argument) for argument in arguments]) == 0
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert found["points"][0]["values"]["RR@10"]["per_query"] == [0.5, 0.0]  # the run leaves q2 out
    assert found["points"][-1]["values"]["RR@10"]["per_query"] == [1.0, 0.0]
    assert "did not find 1 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--split", "train"], 1, "train.tsv: no such split"),
        (["--relevant-from", "3"], 1, "no query has a document judged 3 or more"),
        (["--raw", "--store", "x"], 2, "choose one"),
        (["--json", "no/such/folder/x.json"], 2, "not a folder"),
    ],
)
def test_what_cannot_work_is_said(
    more: list[str], code: int, said: str, cascade_file: Path, beir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(cascade_file), "--data", str(beir), "--split", "test", *more]
    if code == 2:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
    else:
        assert main(arguments) == 1
    assert said in capsys.readouterr().err


def test_a_dense_first_pass_is_the_cascades_own(models: Path, beir: Path, tmp_path: Path) -> None:
    """Its first bi-encoder that meets stored documents, and its rule for queries that are too long."""
    make_encoder(tmp_path / "raw_only", max_length=24)
    cascade = tmp_path / "cascade.toml"
    cascade.write_text(
        "[cascade]\ntruncate_query = true\n"
        '[[stage]]\nmodel = "raw_only"\nkeep = 5\nwhen = { stored = false }\n'
        f'[[stage]]\nmodel = "{models / "bi"}"\nkeep = 4\n',
        encoding="utf-8",
    )
    config = read_config(cascade)
    with Cascade(config) as loaded:
        options = build_parser().parse_args(["evaluate", str(cascade), "--data", str(beir), "--split", "test"])
        options.first_pass, options.store = "dense", tmp_path / "vectors.store"
        long = read_labelled(options, loaded).requests
        data = load_beir(beir, "test")
        data.queries["q1"] = "red " * 500
        again = requests_by_vectors(data, config, config.stages[1], Store.open(options.store), 3, hybrid=False)
    assert [len(request.ids) for request in (*long, *again)] == [6] * 3 + [3] * 3


def test_a_store_of_other_models_is_refused_before_the_work(
    run: Any, models: Path, beir: Path, cascade_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "docs.store"
    run("--store", store)
    make_encoder(tmp_path / "other", max_length=24)
    other = tmp_path / "other.toml"
    other.write_text('[[stage]]\nmodel = "other"\nkeep = 2\n', encoding="utf-8")
    for first_pass in ("bm25", "dense"):
        arguments = ["evaluate", other, "--data", beir, "--split", "test", "--store", store, "--first-pass", first_pass]
        assert main([str(argument) for argument in arguments]) == 1
        said = capsys.readouterr().err
        assert "docs.store: no vectors of model 'other'" in said
        assert "made by bi, ce" in said
