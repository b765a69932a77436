"""``cascaderank precision``: variants found, measured beside fp32, chosen by their loss, written with their figures."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cascaderank.arithmetic import Figures, Loss, Variant, choose, find_variants, measure_variants
from cascaderank.cli.main import main
from cascaderank.cli.precision_show import show_stage
from cascaderank.config import Stage, read_config
from cascaderank.errors import InputError
from cascaderank.providers import available_providers
from graphs import make_attention
from tiny import make_cross_encoder

HOST = [name for name in ("cpu", "openvino") if name in available_providers()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One attention cross-encoder in fp32 and int8, a counting one, and a cascade of the int8 one."""
    base = tmp_path_factory.mktemp("precision")
    source = {"source__model": "attention"}
    make_attention(base / "exact", **source)
    make_attention(base / "rounded", int8=True, **source)
    make_cross_encoder(base / "other")
    (base / "cascade.toml").write_text(
        '# kept\n[[stage]]\nmodel = "rounded"  # ours\nkeep = 3\nmargin = 6.0\n', encoding="utf-8"
    )
    return base


def test_variants_are_the_same_model_in_what_lies_beside_it(folders: Path) -> None:
    found = find_variants(Stage("rounded", keep=1), folders)
    assert found[0] == Variant((folders / "rounded").resolve(), "int8", "cpu", present=True)
    assert {(item.folder.name, item.precision, item.provider) for item in found if item.precision != "bf16"} == {
        (name, precision, provider) for name, precision in (("rounded", "int8"), ("exact", "fp32")) for provider in HOST
    }
    assert sum(item.present for item in found) == 1
    assert {item.folder.name for item in find_variants(Stage("other", keep=1), folders)} == {"other"}


def test_figures_are_beside_fp32_and_the_reference_differs_from_itself_by_nothing(folders: Path) -> None:
    reference, found = measure_variants(find_variants(Stage("rounded", keep=1), folders))
    assert (reference.precision, reference.provider) == ("fp32", "cpu")
    by_name = {item.variant.name: item for item in found}
    own, rounded = by_name["fp32, cpu"], by_name["int8, cpu"]
    assert own.ratio == (1.0, 1.0, 1.0)
    assert (own.max_abs_diff, own.mean_abs_diff, own.tau) == (0.0, 0.0, 1.0)
    assert list(own.ms) == [32]  # the model's window
    assert rounded.max_abs_diff >= rounded.mean_abs_diff > 0.0
    assert rounded.loss is None
    for item in found:
        if item.variant.precision == "fp32":
            assert item.max_abs_diff < 1e-5


def test_the_present_one_is_the_reference_where_there_is_no_fp32(folders: Path, tmp_path: Path) -> None:
    make_attention(tmp_path / "alone", int8=True, source__model="alone")
    reference, _ = measure_variants(find_variants(Stage(tmp_path / "alone", keep=1), None))
    assert (reference.precision, reference.present) == ("int8", True)


def figures(name: str, speed: float, interval: tuple[float, float] | None, present: bool = False) -> Figures:
    loss = None if interval is None else Loss(9, 0.5, float(np.mean(interval)), interval)
    variant = Variant(Path(name), name, "cpu", present)
    return Figures(variant, {32: 1.0}, (speed, speed, speed), 0.0, 0.0, 1.0, loss)


def test_the_choice_is_the_fastest_within_the_loss_by_its_interval() -> None:
    exact, near = figures("fp32", 1.0, (0.0, 0.0)), figures("int8", 1.5, (-0.002, 0.004))
    noisy = figures("int4-block", 2.0, (-0.03, 0.02))  # gains on average, but may lose .02
    assert choose([exact, near, noisy], 0.005) is near
    assert choose([exact, near, noisy], 0.003) is exact
    assert choose([exact, near, noisy], 0.02) is noisy
    assert choose([figures("fp32", 1.0, None)], 0.005) is None
    same = figures("fp16", 1.0, (0.0, 0.0), present=True)
    assert choose([exact, same], 0.005) is same


def test_the_command_writes_a_cascade_that_loads_and_keeps_its_comments(
    folders: Path, beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tomlkit")
    target, report = folders / "here.toml", tmp_path / "precision.json"
    arguments = ["precision", str(folders / "cascade.toml"), "--data", str(beir), "--split", "test"]
    arguments += ["--max-ndcg-loss", "0.9", "--write", str(target), "--json", str(report)]
    assert main(arguments) == 0
    whole = json.loads(report.read_text(encoding="utf-8"))
    (stage,) = whole["stages"]
    fastest = max((row for row in stage["variants"] if not row["refused"]), key=lambda row: row["ratio"][1])
    assert stage["chosen"] == fastest["variant"]
    assert all(row["loss"]["queries"] == 3 for row in stage["variants"])
    written = read_config(target)
    (found,) = written.stages
    assert (found.model, found.precision, found.provider) == tuple(
        stage["chosen"][key] for key in ("folder", "precision", "provider")
    )
    assert (found.keep, found.margin) == (3, 6.0)
    text = target.read_text(encoding="utf-8")
    assert "# kept" in text
    assert "times as fast as the reference" in text
    assert "nDCG@10 lost" in text
    printed = capsys.readouterr().out
    assert "int8, cpu (present)" in printed
    assert whole["machine"]["processor"] in printed


def test_without_data_only_differences_are_known(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["precision", str(folders / "exact"), str(folders / "rounded")]) == 0
    printed = capsys.readouterr().out
    assert "without --data only differences of scores are known" in printed
    with pytest.raises(SystemExit):
        main(["precision", str(folders / "cascade.toml"), "--write", "out.toml"])
    assert "--data to judge a loss by" in capsys.readouterr().err


def test_a_folder_that_is_no_stages_model_is_refused(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["precision", str(folders / "cascade.toml"), str(folders / "other")]) == 1
    assert "other: the model of no stage in another precision" in capsys.readouterr().err


def test_a_query_too_few_is_refused(folders: Path) -> None:
    from cascaderank.documents import Document
    from cascaderank.evaluate.requests import Request

    one = Request("q", "red", ("d",), (1.0,), (Document("d", "red"),))
    with pytest.raises(InputError, match="1 queries with candidates that fit 'exact'; a loss needs two or more"):
        measure_variants(find_variants(Stage("exact", keep=1), folders), [one], {"q": {"d": 1}})


def test_two_folders_in_one_precision_are_told_apart() -> None:
    ways = [Variant(Path(name), precision, "cpu") for name, precision in (("a", "fp32"), ("b", "int8"), ("c", "int8"))]
    found = [Figures(way, {32: 1.0}, (1.0, 1.0, 1.0), 0.0, 0.0, 1.0, None) for way in ways]
    screen = Console(file=io.StringIO(), width=200)
    show_stage(screen, "m", ways[0], found, None, 0.01)
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "int8, cpu, b " in shown
    assert "int8, cpu, c " in shown
    assert "fp32, cpu, a" not in shown
