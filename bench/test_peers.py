"""What ``peers.py`` checks before it believes a time: answers, lengths, who the next best peer is."""

from __future__ import annotations

import time

import numpy as np
import pytest
from rivals.arithmetic import Arithmetic
from rivals.compare import compare
from rivals.contender import Contender
from rivals.late import PLAIN, Documents, numpy_ways, ours, rivals
from rivals.texts import Lengths, Request, equal, mixed

from cascaderank.model import installed_models

LOGITS = np.linspace(-3, 3, 8)
REQUEST = Request("made up", "query", ["text"] * 8, np.full(8, 9))


def contender(name: str, logits: np.ndarray, seconds: float = 0.0, precision: str = "fp32", **more: bool) -> Contender:
    def score(query: str, texts: list[str]) -> np.ndarray:
        time.sleep(seconds)
        return logits

    return Contender(name, precision, score, **more)


def measure() -> Lengths:
    return Lengths(next(iter(installed_models().values())))


def test_the_next_best_peer_is_the_fastest_with_the_same_precision() -> None:
    found = compare(
        [
            contender("cascaderank", LOGITS, ours=True),
            contender("torch", LOGITS, 0.03),
            contender("squashing", 1 / (1 + np.exp(-LOGITS)), 0.01, squashed=True),
            contender("fast in int8", LOGITS + 0.01, 0.001, precision="int8"),
        ],
        REQUEST,
        3,
    )["contenders"]
    assert found["cascaderank, fp32"]["next_best_peer"] == "squashing, fp32"
    assert found["cascaderank, fp32"]["times_next_best"]["low"] > 1
    assert found["torch, fp32"]["times_next_best"]["high"] < 1
    assert found["squashing, fp32"]["max_abs_diff"] < 1e-6


def test_a_wrong_answer_ends_the_run() -> None:
    off = LOGITS.copy()
    off[3] += 1e-3
    with pytest.raises(SystemExit, match=r"wrong, fp32: scores differ by 0\.001"):
        compare([contender("torch", LOGITS), contender("wrong", off)], REQUEST, 1)
    with pytest.raises(SystemExit, match="other weights, int8: scores correlate"):
        compare([contender("torch", LOGITS), contender("other weights", -LOGITS, precision="int8")], REQUEST, 1)


def test_answers_that_are_all_alike_prove_nothing() -> None:
    with pytest.raises(SystemExit, match="would say nothing"):
        compare([contender("torch", np.zeros(8))], REQUEST, 1)


@pytest.mark.parametrize("tokens", [16, 64, 512])
def test_pairs_of_one_length(tokens: int) -> None:
    assert set(equal(measure(), tokens, 3).lengths.tolist()) == {tokens}


def test_mixed_lengths_stay_in_their_limits() -> None:
    request = mixed(measure(), 30)
    assert 60 <= request.lengths.min() < request.lengths.max() <= 310
    assert len(request.texts) == 30


def test_operations_of_the_products() -> None:
    """Per layer 12 s^2 weights and two products of n x n, each with a multiplication and an addition."""
    products = Arithmetic("fp32", workers=1, layers=2, size=8, heads=2)
    assert products.operations([3, 5]) == sum(2 * (2 * 12 * 8 * 8 * n + 4 * n * n * 8) for n in (3, 5))
    products.run([3, 5])
    products.close()


@pytest.mark.parametrize("name", ["maxsim-cpu", "pylate", "NumPy, padded einsum", "NumPy, one product and reduceat"])
def test_every_maxsim_gives_the_same_scores(name: str) -> None:
    documents = Documents(12, 20, 60)
    others, absent = rivals(documents)
    ways = {**others, **numpy_ways(documents)}
    if name not in ways:
        pytest.skip(next(line for line in absent if line.startswith(name)))
    plain = ways[PLAIN]()
    np.testing.assert_allclose(ways[name](), plain, atol=1e-3)
    for threads in (1, 2):
        np.testing.assert_allclose(ours(documents, threads)(), plain, atol=1e-3)
