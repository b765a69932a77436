"""Every precision: what its manifest says, what it is held to, and by whom it is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, ModelError, Stage, config, model
from cascaderank.cli.main import main
from cascaderank.errors import InputError
from cascaderank.export import PRECISIONS, QualityReport, export_model, gate_quality, measure_quality
from cascaderank.export.engine import Engine
from cascaderank.model import load_spec, prefix
from export import tiny_hf
from export.tiny_hf import rewrite

NAMES = tuple(PRECISIONS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One cross-encoder's source and its folder in every precision."""
    root = tmp_path_factory.mktemp("precisions")
    config, tokenizer = tiny_hf.bert(hidden_size=64, intermediate_size=128)
    tiny_hf.save_cross_encoder(root / "source", config, tokenizer)
    for name in NAMES:
        export_model(root / "source", root / name, precision=name)
    return {name: root / name for name in ("source", *NAMES)}


def test_who_may_ask_for_a_precision_knows_the_same_names() -> None:
    assert ("fp32", *NAMES) == model.PRECISIONS
    # A stage may also ask for an fp32 folder to be computed in bf16, which no folder holds.
    assert tuple(name for name in config.PRECISIONS if name != "bf16") == model.PRECISIONS


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_says_how_it_differs_and_how_fast_it_is(name: str, folders: dict[str, Path]) -> None:
    spec = load_spec(folders[name])
    parity, key = spec.manifest["parity"], prefix(name)
    assert spec.precision == spec.manifest["precision"]["weights"] == name
    assert parity["max_abs_diff"] <= parity["tolerance"]  # of the fp32 graph it was made from
    assert 0 < parity[f"{key}_mean_abs_diff"] <= parity[f"{key}_max_abs_diff"] < 5
    assert 0.3 < parity[f"{key}_kendall_tau"] <= 1
    assert "data" not in parity
    speed = parity["speed"]
    assert speed["processor"]
    assert [ratio["tokens"] for ratio in speed["fp32_time_over_this"]] == [32, 64]
    for ratio in speed["fp32_time_over_this"]:
        assert 0 < ratio["lower"] <= ratio["median"] <= ratio["upper"]
        assert ratio["rounds"] >= 8


@pytest.mark.parametrize("name", NAMES)
def test_whether_neighbours_matter_is_measured(name: str, folders: dict[str, Path]) -> None:
    """Each score is a pair's own under the default plan, and in micro-batches where the manifest says so."""
    pairs = [("sort a dictionary", text) for text in ("x", "the quick brown fox", "water " * 40)]
    spec = load_spec(folders[name])
    with Engine(folders[name]) as engine:
        alone = engine.logits(pairs)
    with Engine(folders[name], max_rows=8) as engine:
        together = engine.logits(pairs)
    moved = spec.manifest["parity"][f"{prefix(name)}_batch_max_abs_diff"]
    assert spec.batch_invariant == (moved <= 1e-5 * max(1.0, np.abs(spec.manifest["output"]["range"]).max()))
    assert spec.batch_invariant == (name != "int8")
    if spec.batch_invariant:
        np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_golden_scores_are_met_and_a_stage_can_ask_for_it(name: str, folders: dict[str, Path]) -> None:
    with Cascade([Stage(folders[name], keep=1, precision=name)], check_golden=True) as cascade:
        assert len(cascade.rank("quick brown fox", ["water boils", "the quick brown fox"])) == 2
    other = "fp32" if name == "fp16" else "fp16"
    with pytest.raises(ModelError, match=f"precision '{other}' was asked for, .* holds {name}"):
        Cascade([Stage(folders[name], keep=1, precision=other)])


def test_what_comes_out_says_that_quality_was_not_measured(folders: dict[str, Path], tmp_path: Path) -> None:
    report = export_model(folders["source"], tmp_path / "out", precision="int4-block", quantize_embeddings=True)
    shown = report.summary()
    assert "int4-block beside fp32: max |diff| " in shown
    assert "within random lists" in shown
    assert "speed: fp32's time over its: " in shown
    assert "quality: not measured; --data measures what int4-block costs" in shown
    assert "MatMul and Gather" in load_spec(tmp_path / "out").manifest["precision"]["method"]
    assert load_spec(tmp_path / "out").manifest["source"]["recipe"].endswith("int4-block --quantize-embeddings")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"precision": "bf16"},
            "precision 'bf16'; expected one of fp32, fp16, int8, int8-static, int8-block, int4-block",
        ),
        ({"precision": "fp16", "reduce_range": True}, "reduce_range has no meaning for precision fp16; it is for int8"),
        ({"quantize_embeddings": True}, "no meaning for precision fp32; it is for int8, int4-block"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, object], match: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=match):
        export_model(tmp_path, tmp_path / "out", **settings)


def quality(before: float, after: float, error: float) -> QualityReport:
    return QualityReport("mini dev", 50, "int8", before, after, error)


def test_the_gate_refuses_what_the_data_show_and_nothing_else() -> None:
    gate_quality(quality(0.80, 0.81, 0.0), "m", 0.01)  # a gain
    gate_quality(quality(0.80, 0.792, 0.0), "m", 0.0101)  # exactly what is allowed
    gate_quality(quality(0.80, 0.78, 0.007), "m", 0.01)  # .02 lost, but .006 would be within two errors
    with pytest.raises(ModelError, match=r"m: int8 loses 0\.0200 ± 0\.0050 .* on mini dev: more than 1\.0% beyond"):
        gate_quality(quality(0.80, 0.78, 0.005), "m", 0.01)
    assert quality(0.80, 0.79, 0.001).rules_out(0.02)
    assert not quality(0.80, 0.79, 0.004).rules_out(0.02)  # fine as far as seen, and not far enough


def test_an_export_that_loses_too_much_leaves_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    data = tiny_hf.save_collection(tmp_path / "mini")
    (tmp_path / "target").mkdir()
    with pytest.raises(ModelError, match=r"out: fp16 loses .*beyond its noise .*max_ndcg_loss"):
        # A loss can be no smaller than minus all, so nothing passes this.
        export_model(folders["source"], tmp_path / "target" / "out", precision="fp16", data=data, max_ndcg_loss=-2.0)
    assert not any((tmp_path / "target").iterdir())


def test_quality_is_of_numbers_and_of_more_than_one_query(folders: dict[str, Path], tmp_path: Path) -> None:
    data = tiny_hf.save_collection(tmp_path / "mini")
    with Engine(folders["fp16"]) as engine:
        found = measure_quality(engine.rank_logits, engine, data)
        assert (found.queries, found.loss, found.loss_error) == (3, 0.0, 0.0)
        with pytest.raises(ModelError, match="fp16 or fp32 is no finite number for query 'sort a dictionary'"):
            measure_quality(lambda query, texts: np.full(len(texts), np.nan, np.float32), engine, data)
        with pytest.raises(InputError, match="1 queries in dev that fit the model; a loss needs two"):
            measure_quality(engine.rank_logits, engine, data, queries=1)


@pytest.mark.parametrize("name", ["fp16", "int8-block"])
def test_check_against_the_source(
    name: str, folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(folders["source"])
    assert main(["check", str(folders[name]), "--against", source]) == 0
    shown = capsys.readouterr().out
    assert f"{name} beside fp32 when made: Kendall tau " in shown
    assert "parity now: 150 pairs beside torch" in shown
    # The same template hash, so that what objects is the comparison with torch and not the golden scores.
    wrong = rewrite(folders[name], tmp_path / "wrong", input={"segments": [0, 0, 0, 0, 0]}, golden=None)
    assert main(["check", str(wrong), "--against", source]) == 1
    assert f"{name} is up to" in capsys.readouterr().err


def test_check_against_measures_quality_too(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny_hf.save_collection(tmp_path / "mini")
    arguments = ["check", str(folders["int8"]), "--data", str(data)]
    assert main([*arguments, "--against", str(folders["source"])]) == 0
    assert "nDCG@10 on mini dev, 3 queries, BM25 top 30: fp32 " in capsys.readouterr().out
    assert main(arguments) == 1
    assert "--data compares with the model given to --against" in capsys.readouterr().err


def test_a_manifest_that_recorded_nothing_cannot_be_held_to_it(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = rewrite(folders["int8"], tmp_path / "bare", parity=None)
    assert main(["check", str(bare), "--against", str(folders["source"])]) == 1
    assert "no parity.int8_max_abs_diff to hold it to" in capsys.readouterr().err
