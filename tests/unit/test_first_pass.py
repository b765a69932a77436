"""BM25 against a slow and obvious computation, and its order."""

from __future__ import annotations

import math
import re
import sys
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascaderank.errors import InputError, MissingExtraError
from cascaderank.first_pass import K1, B, Bm25

WORDS = ["alpha", "beta", "gamma", "delta"]  # none is a stop word, and each is its own stem up to the last letter
texts_of_words = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=12)


def slow_bm25(texts: list[str], query: str) -> list[float]:
    """Lucene's BM25, word by word: idf = ln(1 + (n - df + 0.5) / (df + 0.5)), no (k1 + 1) factor."""
    words = [re.findall(r"[^\W_]{2,}", text.lower()) for text in texts]
    mean = sum(map(len, words)) / len(words)
    scores = []
    for document in words:
        counts = Counter(document)
        score = 0.0
        for word in query.split():
            df = sum(word in other for other in words)
            if counts[word]:
                idf = math.log(1 + (len(words) - df + 0.5) / (df + 0.5))
                score += idf * counts[word] / (counts[word] + K1 * (1 - B + B * len(document) / mean))
        scores.append(score)
    return scores


@settings(deadline=None, max_examples=60)
@given(texts_of_words, st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True), st.integers(1, 15))
def test_equals_the_slow_computation(texts: list[str], words: list[str], k: int) -> None:
    query = " ".join(words)
    expected = slow_bm25(texts, query)
    indices, scores = Bm25(texts).top(query, k)
    assert indices.dtype == np.int64
    assert scores.dtype == np.float32
    assert len(indices) == len(scores) == min(k, len(texts))
    np.testing.assert_allclose(scores, [expected[index] for index in indices], rtol=1e-5)
    order = sorted(range(len(texts)), key=lambda index: (-np.float32(expected[index]), index))
    # Scores that differ by rounding only may change places; the scores by rank may not.
    np.testing.assert_allclose(scores, [expected[index] for index in order[:k]], rtol=1e-5)


def test_equal_scores_keep_the_order_of_the_texts() -> None:
    index = Bm25(["red fox", "blue whale", "red fox", "green frog", "red fox"])
    indices, scores = index.top("fox", 4)
    assert indices.tolist() == [0, 2, 4, 1]
    assert scores[0] == scores[1] == scores[2] > 0 == scores[3]
    assert index.top("fox", 2)[0].tolist() == [0, 2]


def test_a_smaller_cut_off_is_a_prefix_of_a_larger_one() -> None:
    texts = [f"word{number % 7} word{number % 5} common" for number in range(200)]
    index = Bm25(texts)
    everything = index.top("word3 word4 common", 200)[0].tolist()
    assert sorted(everything) == list(range(200))
    for k in (1, 17, 100, 199, 500):
        assert index.top("word3 word4 common", k)[0].tolist() == everything[:k]


def test_identifiers_are_split_and_words_are_stemmed() -> None:
    index = Bm25(["functools.lru_cache(maxsize)", "something else"])
    for query in ("caching", "lru cache", "FUNCTOOLS"):
        assert index.top(query, 1)[1][0] > 0


@pytest.mark.parametrize("query", ["the of and", "zzz", "?!", "a b"])
def test_a_query_that_matches_nothing_scores_zero_in_order(query: str) -> None:
    indices, scores = Bm25(["one thing", "another thing", ""]).top(query, 3)
    assert indices.tolist() == [0, 1, 2]
    assert not scores.any()


def test_texts_without_a_word() -> None:
    assert Bm25(["", "...", "the"]).top("anything", 5)[0].tolist() == [0, 1, 2]


def test_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    Bm25(["some text"] * 50).top("text", 10)
    assert capfd.readouterr() == ("", "")


def test_wrong_input_is_named() -> None:
    with pytest.raises(InputError, match="at least one text"):
        Bm25([])
    with pytest.raises(InputError, match=r"texts\[1\].*int"):
        Bm25(["a", 3])  # type: ignore[list-item]
    index = Bm25(["text"])
    for k in (0, -1, 2.0, True):
        with pytest.raises(InputError, match="k:"):
            index.top("text", k)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="query"):
        index.top("  ", 1)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtraError, match=r"cascaderank\[demo\]"):
        Bm25(["text"])


def test_a_search_takes_milliseconds() -> None:
    """A guard against a Python loop over the texts, not a benchmark: the bound is fifty times what it takes."""
    index = Bm25([f"text number {number} of many" for number in range(5000)])
    index.top("number many", 1000)
    start = time.perf_counter()
    index.top("number many", 1000)
    assert time.perf_counter() - start < 0.1
