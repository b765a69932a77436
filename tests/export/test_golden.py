"""Golden scores: written by the export, met by what was exported, and missed by each error planted here."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cascaderank import Cascade, CascadeConfig, ModelError, Stage
from cascaderank.cli.main import main
from cascaderank.export import export_model
from cascaderank.export.engine import Engine
from cascaderank.golden import check_golden, template_hash
from cascaderank.manifest import GoldenPair
from cascaderank.model import MANIFEST, load_spec
from export import tiny_hf
from export.tiny_hf import rewrite


def export(root: Path, made: tuple[Any, Any], labels: int = 1, **options: Any) -> Path:
    tiny_hf.save_cross_encoder(root / "source", *made, labels=labels)
    export_model(root / "source", root / "out", **options)
    return root / "out"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("bert"), tiny_hf.bert())


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ModelError, match=f"(?s){match}") as caught:
        Cascade([Stage(folder, keep=1)], check_golden=True).close()
    assert str(folder) in str(caught.value)


def rehashed(folder: Path, out: Path, **changes: Any) -> Path:
    """A changed copy whose template hash says that the change was meant: only the logits are left to object."""
    rewrite(folder, out, **changes)
    with Engine(out) as engine:
        golden = engine.spec.golden
        assert golden is not None
        fresh = template_hash(engine.spec, engine.part.tokenizer, golden.pairs)
    assert fresh != golden.template
    return rewrite(out, out.with_name(f"{out.name}-rehashed"), golden={"template": fresh})


def edited(folder: Path, out: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """A copy whose graph has one weight changed and whose manifest has the new graph's hash."""
    shutil.copytree(folder, out)
    model = onnx.load(out / "model.onnx")
    weight = next(item for item in model.graph.initializer if item.name.endswith(name))
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight)).copy(), weight.name))
    onnx.save(model, out / "model.onnx")
    return rewrite(out, out.with_name(f"{out.name}-listed"))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_what_was_exported_meets_them(precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = export(tmp_path, tiny_hf.bert(), precision=precision)
    with Cascade([Stage(folder, keep=1)], check_golden=True) as cascade:
        (found,) = cascade.check_golden()
    assert found.pairs == 14
    assert found.max_abs_diff <= (1e-4 if precision == "fp32" else found.tolerance)
    assert main(["check", str(folder)]) == 0
    assert "golden scores: 14 pairs met" in capsys.readouterr().out


def test_they_are_the_frameworks_logits_of_odd_and_of_long_texts(bert: Path) -> None:
    golden = load_spec(bert).golden
    assert golden is not None
    documents = [pair.document for pair in golden.pairs]
    assert "" in documents
    assert any("[SEP]" in text for text in documents)
    assert any(not text.isascii() for text in documents)
    with Engine(bert) as engine:
        assert max(engine.count_tokens(text) for text in documents) > engine.spec.max_length
        logits = engine.logits([(pair.query, pair.document) for pair in golden.pairs])
    assert np.ptp(logits) > 0.1  # or any template would do
    np.testing.assert_allclose(logits, [pair.logit for pair in golden.pairs], atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"input": {"segments": [0, 0, 0, 0, 0]}},
        {"input": {"pair": ["[CLS]", "$query", "[SEP]", "$document"], "segments": [0, 0, 0, 1]}},
        {"input": {"query_prefix": "query: "}},
        {"max_length": 48},
    ],
    ids=["segments of zero", "a suffix that is cut off", "a prefix nobody trained with", "another window"],
)
def test_a_changed_template_is_refused_by_its_hash_and_by_the_logits(
    change: dict[str, Any], bert: Path, tmp_path: Path
) -> None:
    refused(rewrite(bert, tmp_path / "changed", **change), "the template is not the one .* export the model again")
    refused(rehashed(bert, tmp_path / "wrong", **change), "golden scores are not met: query .*tolerance 0.0001")


def test_a_suffix_lost_to_truncation_alone_is_caught_by_the_long_texts(bert: Path, tmp_path: Path) -> None:
    """The same logits but for texts past the window, whose golden ones are those of a row that lost its last token."""
    cut = rewrite(
        bert, tmp_path / "cut", input={"pair": ["[CLS]", "$query", "[SEP]", "$document"], "segments": [0, 0, 0, 1]}
    )
    tables = tomllib.loads((bert / MANIFEST).read_text(encoding="utf-8"))["golden"]
    long = [number for number, pair in enumerate(tables["pairs"]) if "repeat" in pair]
    with Engine(cut) as engine:
        for number in long:
            pair = tables["pairs"][number]
            text = pair["document"] * pair["repeat"]
            pair["logit"] = float(engine.logits([(pair["query"], text)])[0])
    refused(rewrite(bert, tmp_path / "wrong", golden=tables), f"{len(long)} of 14 golden scores are not met")


def test_swapped_class_columns_are_caught(tmp_path: Path) -> None:
    folder = export(tmp_path, tiny_hf.bert(), labels=2)
    swapped = edited(folder, tmp_path / "swapped", "classifier.weight", lambda weight: weight[::-1])
    refused(swapped, "golden scores are not met")


def test_a_wrong_position_base_is_caught(tmp_path: Path) -> None:
    """XLM-R's positions start at 2; a graph that starts at 0 reads the table's rows two places further up."""
    folder = export(tmp_path, tiny_hf.xlm_roberta(rows=66))
    shifted = edited(folder, tmp_path / "shifted", "position_embeddings.weight", lambda table: np.roll(table, 2, 0))
    refused(shifted, "golden scores are not met")


def test_scores_that_are_no_numbers_are_caught(bert: Path, tmp_path: Path) -> None:
    broken = edited(bert, tmp_path / "broken", "classifier.bias", lambda bias: bias * np.nan)
    refused(broken, "14 of 14 golden scores are not met: .* gets nan")


def test_a_cascade_file_asks_for_it(bert: Path, tmp_path: Path) -> None:
    file = tmp_path / "cascade.toml"
    file.write_text(f"[cascade]\ncheck_golden = true\n[[stage]]\nmodel = {str(bert)!r}\nkeep = 1\n", encoding="utf-8")
    with Cascade.load(file) as cascade:
        assert cascade.config.check_golden
    wrong = rewrite(bert, tmp_path / "wrong", input={"segments": [0, 0, 0, 0, 0]})
    Cascade([Stage(wrong, keep=1)]).close()  # not asked, not checked
    with pytest.raises(ModelError, match="template"):
        Cascade(CascadeConfig((Stage(wrong, keep=1),), check_golden=True))


def test_a_manifest_without_them_has_nothing_to_check(
    bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = rewrite(bert, tmp_path / "bare", golden=None)
    assert load_spec(folder).golden is None
    refused(folder, r"no \[golden\] scores to check; export the model again")
    assert main(["check", str(folder)]) == 0
    assert "note: no golden scores" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"pairs": []}, "0 pairs"),
        ({"tolerance": 0.0}, "tolerance 0"),
        ({"pairs": "none"}, "pairs is 'none', expected an array of tables"),
        ({"pairs": [{"query": "", "document": "d", "logit": 1.0}]}, "empty query"),
        ({"pairs": [{"query": "q", "document": "d"}]}, r"pairs\[1\].*'logit' is missing"),
        ({"pairs": [{"query": "q", "document": "d", "logit": 1.0, "repeat": 0}]}, "repeat is 0"),
    ],
)
def test_a_section_that_is_none_is_refused(change: dict[str, Any], match: str, bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=match):
        rewrite(bert, tmp_path / "wrong", golden=change)


def test_encoders_have_them_too(tmp_path: Path) -> None:
    tiny_hf.save_encoder(tmp_path / "source", *tiny_hf.bert())
    export_model(tmp_path / "source", tmp_path / "out", kind="bi_encoder", pooling="mean")
    with Engine(tmp_path / "out") as engine:
        assert check_golden(engine.scorer).pairs == 14
    wrong = rehashed(tmp_path / "out", tmp_path / "wrong", output={"pooling": "cls"}, max_length=63)
    with Engine(wrong) as engine, pytest.raises(ModelError, match="golden scores are not met"):
        check_golden(engine.scorer)


def test_the_text_of_a_pair_is_repeated() -> None:
    assert GoldenPair("q", "ab ", 3, 0.0).document == "ab ab ab "
