"""``cascaderank calibrate``: a model's probabilities and a cascade's weights, on synthetic models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibrated import add_calibration
from cascaderank import Cascade, Stage
from cascaderank.cli.main import main
from cascaderank.model import load_spec
from decoder_graph import make_decoder
from tiny import make_cross_encoder, make_encoder

for module in ("scipy", "sklearn", "tomlkit"):
    pytest.importorskip(module, reason=f"needs {module}: pip install 'cascaderank[evaluate]'")

WORDS = ["red", "cat", "dog", "fish", "one", "two"]


@pytest.fixture(scope="session")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 queries, each with six judged documents. Documents share 0 to 5 words with their query, which is the counting
    cross-encoder's logit; they are relevant with probability sigmoid(2 * words - 6)."""
    folder = tmp_path_factory.mktemp("lists")
    generator = np.random.default_rng(8)
    query = " ".join(WORDS)
    corpus, queries, rows = [], [], ["query-id\tcorpus-id\tscore"]
    for number in range(60):
        queries.append({"_id": f"q{number}", "text": query})
        for place, shared in enumerate(generator.integers(0, 6, 6)):
            words = [*generator.permutation(WORDS)[:shared], "blue", *["green"] * int(generator.integers(0, 4))]
            corpus.append({"_id": f"d{number}-{place}", "text": " ".join(words)})
            relevant = int(generator.random() < 1 / (1 + np.exp(6 - 2 * shared)))
            rows.append(f"q{number}\td{number}-{place}\t{relevant}")
    for name, entries in (("corpus", corpus), ("queries", queries)):
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def arguments(target: Path, lists: Path, *more: str | Path) -> list[str]:
    return ["calibrate", *map(str, (target, "--data", lists, "--split", "train", *more))]


def test_a_model_gets_probabilities(tmp_path: Path, lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_cross_encoder(tmp_path / "m")
    report, page = tmp_path / "r.json", tmp_path / "r.html"
    assert main(arguments(folder, lists, "--pairs", "judged", "--json", report, "--report", page)) == 0
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["helps"] is True
    assert [entry["method"] for entry in found["methods"]] == ["raw", "temperature", "platt", "beta", "isotonic"]
    assert f"Chosen: {found['chosen']}" in page.read_text(encoding="utf-8")
    manifest = load_spec(folder).manifest["calibration"]
    assert manifest["fitted_on"]["queries"] == found["fitted_on"]["queries"] > 50
    assert manifest["held_back"]["ece_after"] < manifest["held_back"]["ece_before"] / 2
    with Cascade([Stage(folder, keep=6)]) as cascade:
        hits = cascade.rank(" ".join(WORDS), ["blue", "red cat dog", "red cat dog fish one"])
    assert [hit.probability for hit in hits] == pytest.approx([0.98, 0.5, 0.0], abs=0.1)
    printed = capsys.readouterr().out
    for text in ("60 queries are few" if found["fitted_on"]["queries"] == 60 else "are few", "ECE", "Brier", "written"):
        assert text in printed


def test_what_does_not_help_is_not_written_unless_forced(
    tmp_path: Path, lists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model whose sigmoid is the probability already: logit = 2 * words - 6."""
    folder = make_cross_encoder(tmp_path / "m", graph={"scale": 2.0, "bias": -6.0})
    before = (folder / "model.toml").read_text(encoding="utf-8")
    assert main(arguments(folder, lists, "--pairs", "judged")) == 0
    assert "the raw score is kept" in capsys.readouterr().err
    assert (folder / "model.toml").read_text(encoding="utf-8") == before
    assert main(arguments(folder, lists, "--pairs", "judged", "--force", "--method", "platt")) == 0
    assert load_spec(folder).calibration.parameters()["a"] == pytest.approx(1.0, abs=0.25)


def test_a_dry_run_writes_nothing(tmp_path: Path, lists: Path) -> None:
    folder = make_cross_encoder(tmp_path / "m")
    before = (folder / "model.toml").read_text(encoding="utf-8")
    assert main(arguments(folder, lists, "--pairs", "judged", "--queries", "30", "--dry-run")) == 0
    assert (folder / "model.toml").read_text(encoding="utf-8") == before


def test_a_cascade_gets_weights(tmp_path: Path, lists: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The encoder knows nothing of the words' number; the counting model, calibrated to the truth, has the weight."""
    add_calibration(make_encoder(tmp_path / "bi"), a=0.1, b=0.0)
    add_calibration(make_cross_encoder(tmp_path / "ce"), a=2.0, b=-6.0)
    source, target = tmp_path / "cascade.toml", tmp_path / "weighted.toml"
    source.write_text('[[stage]]\nmodel = "bi"\nkeep = 40\n[[stage]]\nmodel = "ce"\nkeep = 5\n', encoding="utf-8")
    run_file = tmp_path / "run"
    names = [line.split("\t") for line in (lists / "qrels" / "train.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    rows = [f"{query} Q0 {name} {rank} {-rank} t" for rank, (query, name, _) in enumerate(names, start=1)]
    run_file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert main(arguments(source, lists, "--run", run_file, "--out", target)) == 0
    printed = capsys.readouterr().out
    assert "held back" not in printed  # the calibrations may have seen these queries
    assert "the models' calibrations as they are, scale and intercept fitted anew:\nce alone" in printed
    with Cascade.load(target) as cascade:
        config = cascade.config
        assert config.fusion == "weighted"
        assert config.stages[1].weight > config.first_weight
        assert config.first_calibration is not None
        assert config.first_weight + sum(stage.weight for stage in config.stages) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--relevant-from", "9"], 1, "0 of"),
        (["--queries", "1"], 1, "1 query; at least 2"),
        (["--report", "no/such/folder/x.html"], 2, "not a folder"),
        (["--first-pass", "dense"], 1, "no cascade is at hand"),
        (["--json", "no/such/folder/x.json"], 2, "not a folder"),
    ],
)
def test_what_cannot_work_is_said(
    more: list[str], code: int, said: str, models: Path, lists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = arguments(models / "ce", lists, "--candidates", "6", *more)
    if code == 2:
        with pytest.raises(SystemExit) as end:
            main(call)
        assert end.value.code == 2
    else:
        assert main(call) == 1
    assert said in capsys.readouterr().err


def test_weights_need_calibrated_models_and_a_place(
    cascade_file: Path, lists: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments(cascade_file, lists))
    assert main(arguments(cascade_file, lists, "--queries", "4", "--out", tmp_path / "x.toml")) == 1
    assert "weights need a fitted [calibration] in" in capsys.readouterr().err


def test_a_decoder_is_calibrated_under_an_instruction_and_for_it(
    tmp_path: Path, lists: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, report = make_decoder(tmp_path / "d", input__instruction_prefix="one $instruction "), tmp_path / "r.json"
    found = []
    for more in ([], ["--instruction", "red fish"]):
        call = arguments(folder, lists, "--pairs", "judged", "--method", "platt", "--json", report, *more)
        assert main([*call, "--force"]) == 0
        found.append(json.loads(report.read_text(encoding="utf-8")))
    assert found[0]["methods"][0]["held_back"]["log_loss"] != found[1]["methods"][0]["held_back"]["log_loss"]
    assert "instruction" not in found[0]["fitted_on"]
    assert load_spec(folder).calibration.instruction == found[1]["fitted_on"]["instruction"] == "red fish"
    with Cascade([Stage(folder, keep=1, instruction="red fish")]) as cascade:
        assert cascade.rank("cat", ["dog"])[0].probability is not None
    with pytest.raises(SystemExit):
        main(["calibrate", "cascade.toml", "--instruction", "red"])
    assert "a cascade's stages have their own" in capsys.readouterr().err
