"""The shipped cascade ranks better than its first pass, on the labelled questions and on a public collection.

Small samples with generous margins: this catches a model that was swapped, mis-exported or fed wrongly, not a point of
nDCG. The figures themselves come from `cascaderank bench` and models/recipes/quality.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Document
from cascaderank.demo.corpus import read_corpus
from cascaderank.demo.questions import load_questions
from cascaderank.evaluate.data import load_beir
from cascaderank.evaluate.metrics import ndcg
from cascaderank.first_pass import Bm25
from cascaderank.model import installed_models

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    "minilm-ce-large" not in installed_models(), reason="needs the shipped models: pip install ./models"
)


@pytest.fixture(scope="module")
def cascade() -> Iterator[Cascade]:
    with Cascade.default() as made:
        yield made


def gain(
    cascade: Cascade,
    texts: Mapping[str, str],
    queries: Sequence[tuple[str, Mapping[str, int]]],
    candidates: int,
) -> tuple[float, float]:
    """Mean nDCG@10 of BM25 and of the cascade over BM25's best ``candidates``."""
    ids = list(texts)
    first_pass = Bm25(list(texts.values()))
    before, after = [], []
    for query, relevant in queries:
        indices, scores = first_pass.top(query, candidates)
        documents = [Document(ids[i], texts[ids[i]], float(s)) for i, s in zip(indices, scores, strict=True)]
        before.append(ndcg(relevant, [document.id for document in documents], 10))
        after.append(ndcg(relevant, [hit.id for hit in cascade.rank(query, documents)], 10))
    return float(np.mean(before)), float(np.mean(after))


def test_labelled_questions(cascade: Cascade) -> None:
    corpus = {document.id: document.text for document in read_corpus()}
    questions = [(question.question, question.relevant) for question in load_questions("dev")[::8]]
    before, after = gain(cascade, corpus, questions, 40)
    assert len(questions) >= 15
    assert after > before + 0.05, (before, after)


@pytest.mark.skipif(not (DATA / "scifact").is_dir(), reason="needs the public collection scifact beside the project")
def test_scifact(cascade: Cascade) -> None:
    data = load_beir(DATA / "scifact", "test")
    queries = [(data.queries[name], data.qrels[name]) for name in sorted(data.qrels)[::30]]
    before, after = gain(cascade, data.corpus, queries, 30)
    assert len(queries) >= 10
    assert after > before - 0.05, (before, after)
