"""Each family of cross-encoders, from a folder as transformers writes it to scores that equal torch's.

Over 200 pairs each, from an empty document to far past the window, alone and in mixed micro-batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascaderank.export import ExportReport, export_model
from cascaderank.export.engine import Engine
from cascaderank.export.families import FAMILIES
from cascaderank.golden import make_request
from cascaderank.model import load_spec
from cascaderank.stages import Counts
from export import oracle, tiny_hf
from export.lists import APART, apart, lists, order

ONE = ["[CLS]", "$query", "[SEP]", "$document", "[SEP]"]
TWO = ["<s>", "$query", "</s>", "</s>", "$document", "</s>"]


@dataclass(frozen=True, slots=True)
class Case:
    """What a family's folder must come out as."""

    make: Callable[[], tuple[Any, Any]]
    window: int
    pair: list[str]
    segments: tuple[int, ...] = ()
    of_modules: bool = False


CASES = {
    "bert": Case(tiny_hf.bert, 64, ONE, (0, 0, 0, 1, 1)),
    "electra": Case(tiny_hf.electra, 64, ONE, (0, 0, 0, 1, 1)),
    "distilbert": Case(tiny_hf.distil_bert, 64, ONE),
    "albert": Case(tiny_hf.albert, 64, ONE, (0, 0, 0, 1, 1)),
    "roberta": Case(tiny_hf.roberta, 64, TWO),
    "xlm-roberta": Case(tiny_hf.xlm_roberta, 512, TWO),  # of 514 rows
    "camembert": Case(tiny_hf.camembert, 64, TWO),
    "mpnet": Case(tiny_hf.mpnet, 64, TWO),
    "deberta-v2": Case(tiny_hf.deberta, 64, ONE),
    "modernbert": Case(tiny_hf.modern_bert, 96, ONE),
    "modernbert, mean": Case(partial(tiny_hf.modern_bert, classifier_pooling="mean"), 96, ONE),
    "modernbert of modules": Case(tiny_hf.modern_bert, 96, ONE, of_modules=True),
}


@dataclass(frozen=True, slots=True)
class Made:
    """An exported family and what torch says of its lists."""

    case: Case
    folder: Path
    report: ExportReport
    lists: list[tuple[str, list[str]]]
    expected: list[np.ndarray]


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    case = CASES[request.param]
    root = tmp_path_factory.mktemp("family")
    config, tokenizer = case.make()
    if case.of_modules:
        model, head = tiny_hf.save_module_cross_encoder(root / "source", config, tokenizer)
    else:
        model, head = tiny_hf.save_cross_encoder(root / "source", config, tokenizer), None
    report = export_model(root / "source", root / "out")
    with Engine(root / "out") as engine:
        texts = lists(engine.count_tokens, case.window, engine.query_limit())
        lengths = {engine.count_tokens(document) for _, documents in texts for document in documents}
        assert {0, 1} <= lengths
        assert max(lengths) > 1.3 * case.window
    expected = []
    for query, documents in texts:
        outputs = [oracle.pair_hidden(model, tokenizer, case.window, query, document) for document in documents]
        logits = [output.logits[0] if head is None else head(output.last_hidden_state[0]) for output in outputs]
        expected.append(np.array([float(logit) for logit in logits]))
    return Made(case, root / "out", report, texts, expected)


def test_the_manifest_is_the_familys(made: Made) -> None:
    spec, case = load_spec(made.folder), made.case
    assert (spec.kind, spec.max_length) == ("cross_encoder", case.window)
    assert (list(spec.input.pair), spec.input.segments) == (case.pair, case.segments)
    assert spec.output.score == ("none" if case.of_modules else "sigmoid")  # one label without a named activation
    assert spec.batch_invariant
    assert made.report.parity.agreement.max_abs_diff <= 1e-4


@pytest.mark.parametrize("rows", [1, 5, 64])
def test_pairs_score_as_in_torch_and_lists_come_in_its_order(made: Made, rows: int) -> None:
    compared, worst = 0, 0.0
    with Engine(made.folder, max_rows=rows) as engine:
        for (query, documents), expected in zip(made.lists, made.expected, strict=True):
            counts = Counts()
            scored = engine.scorer.score(make_request(query, documents), np.arange(len(documents)), counts)
            assert counts.micro_batches == -(-len(documents) // rows)  # of rows of all lengths
            found = scored.outputs[np.argsort(scored.positions)]
            np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
            compared, worst = compared + len(found), max(worst, float(np.abs(found - expected).max()))
            kept = apart(expected)  # 20 documents
            assert order(found[kept]) == order(expected[kept])
    assert compared >= 200
    everything = np.concatenate(made.expected)
    print(f"{compared} pairs, {rows} rows a run: max |diff| {worst:.1e}, logits spread over {np.ptp(everything):.1f}")
    assert np.ptp(everything) > 1000 * APART  # otherwise every template would agree


def test_every_family_that_reads_pairs_is_a_case() -> None:
    readers = {name for family in FAMILIES if family.pair for name in family.model_types}
    assert readers == {name for name in CASES if name in readers}


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_two_labels_are_one_logit_the_second_minus_the_first(family: str, tmp_path: Path) -> None:
    case = CASES[family]
    config, tokenizer = case.make()
    model = tiny_hf.save_cross_encoder(tmp_path / "source", config, tokenizer, labels=2)

    export_model(tmp_path / "source", tmp_path / "out")

    spec = load_spec(tmp_path / "out")
    assert (spec.output.columns, spec.output.score) == (2, "softmax[1]")
    pairs = [("how do I sort a dictionary", "by value"), ("water", ""), ("water", "brown fox " * 90)]
    columns = oracle.pair_logits(model, tokenizer, case.window, pairs)
    with Engine(tmp_path / "out") as engine:
        np.testing.assert_allclose(engine.logits(pairs), columns[:, 1] - columns[:, 0], atol=1e-4)


def test_bert_with_one_segment_has_none(tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert(type_vocab_size=1)
    tiny_hf.save_cross_encoder(tmp_path / "source", config, tokenizer)
    export_model(tmp_path / "source", tmp_path / "out")
    assert load_spec(tmp_path / "out").input.segments == ()


def test_a_query_prefix_is_part_of_the_score(tmp_path: Path) -> None:
    config, tokenizer = tiny_hf.bert()
    tiny_hf.save_cross_encoder(tmp_path / "source", config, tokenizer)
    export_model(tmp_path / "source", tmp_path / "plain")
    export_model(tmp_path / "source", tmp_path / "prefixed", query_prefix="water ")
    with Engine(tmp_path / "plain") as plain, Engine(tmp_path / "prefixed") as prefixed:
        assert prefixed.logits([("fox", "dog")]) == plain.logits([("water fox", "dog")])
