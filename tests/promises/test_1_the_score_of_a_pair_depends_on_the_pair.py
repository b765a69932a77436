"""Not on its neighbours in the micro-batch, the thread, or the order of the candidates."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, Stage
from cascaderank.model import installed_models
from graphs import make_attention
from tiny import WORDS, make_encoder

QUERY = "red cat one"
REAL = [
    "A dict keeps its keys in the order in which they were inserted.",
    "sorted(d.items(), key=lambda item: item[1]) sorts a dictionary by its values and returns a list of pairs.",
    "Bears sleep.",
    "The list method sort works in place; the built-in sorted returns a new list, and both are stable. " * 4,
    "",
    "How to sort a dict",
]


def texts(count: int, longest: int = 24) -> list[str]:
    """Texts of mixed lengths, so that rows are padded when they share a micro-batch."""
    generator = np.random.default_rng(8)
    return [" ".join(generator.choice(WORDS[:9], generator.integers(0, longest))) for _ in range(count)]


def scores(cascade: Cascade, query: str, documents: list[str]) -> dict[str, float | None]:
    return {documents[hit.index]: hit.score for hit in cascade.rank(query, documents)}


def check(cascade: Cascade, query: str, documents: list[str], tolerance: float) -> None:
    """Alone, among others, in another order, and from several threads at once."""
    documents = list(dict.fromkeys(documents))
    together = scores(cascade, query, documents)
    shuffled = scores(cascade, query, [documents[i] for i in np.random.default_rng(1).permutation(len(documents))])
    alone = {text: cascade.rank(query, [text])[0].score for text in documents}
    with ThreadPoolExecutor(7) as threads:
        beside = list(threads.map(lambda some: scores(cascade, query, some), [documents, documents[::-1]] * 4))
    for found in (shuffled, alone, *beside):
        assert found == pytest.approx(together, abs=tolerance)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("pairs")
    return {
        "fp32": make_attention(base / "fp32"),
        "int8": make_attention(base / "int8", int8=True),
        "bi": make_encoder(base / "bi"),
        "late": make_encoder(base / "late", "late_interaction"),
    }


@pytest.mark.parametrize("name", ["fp32", "int8", "bi", "late"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_by_default(folders: dict[str, Path], name: str, workers: int) -> None:
    with Cascade([Stage(folders[name], keep=99)], workers=workers) as cascade:
        check(cascade, QUERY, texts(40), 1e-5)


@pytest.mark.parametrize("name", ["fp32", "bi", "late"])
@pytest.mark.parametrize("budget", [40, 100, 100_000])
def test_fp32_in_padded_micro_batches(folders: dict[str, Path], name: str, budget: int) -> None:
    with Cascade([Stage(folders[name], keep=99, token_budget=budget)]) as cascade:
        check(cascade, QUERY, texts(40), 1e-5)
        batched = scores(cascade, QUERY, texts(40))
    with Cascade([Stage(folders[name], keep=99, threads=2)]) as cascade:
        assert scores(cascade, QUERY, texts(40)) == pytest.approx(batched, abs=1e-5)


def test_the_int8_model_would_show_a_neighbour(folders: dict[str, Path]) -> None:
    """Why one pair per run is the default for such a model: in shared micro-batches its scores do move."""
    with Cascade([Stage(folders["int8"], keep=99, token_budget=100_000)]) as cascade:
        together = scores(cascade, QUERY, texts(40))
        moved = [abs(cascade.rank(QUERY, [text])[0].score - score) for text, score in together.items()]
    assert max(moved) > 1e-4


def test_a_manifest_says_whether_batches_matter(folders: dict[str, Path]) -> None:
    with Cascade([Stage(folders["fp32"], keep=9), Stage(folders["int8"], keep=9)]) as cascade:
        assert [spec.batch_invariant for spec in cascade.models] == [True, False]


@pytest.mark.parametrize("name", ["minilm-bi", "minilm-ce-small", "minilm-ce-large"])
def test_shipped_models(name: str) -> None:
    if name not in installed_models():
        pytest.skip(f"cascaderank-models with {name} is not installed (pip install ./models)")
    with Cascade([Stage(name, keep=99)]) as cascade:
        check(cascade, "how do I sort a dict by value", REAL, 1e-5)
