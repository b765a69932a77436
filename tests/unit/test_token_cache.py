"""Texts that repeat are encoded once; what is held stays below the limit; nothing but the time changes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascaderank import Cascade, ConfigError, Stage
from cascaderank.config import CascadeConfig
from cascaderank.kernels import Ragged
from cascaderank.token_cache import TokenCache
from cascaderank.tokenizer import TextTokenizer
from tiny import write_tokenizer


def letters(texts: list[str]) -> Ragged:
    """One id per character: what a cache may be given as a tokenizer."""
    cu_seqlens = np.concatenate([[0], np.cumsum([len(text) for text in texts], dtype=np.int64)])
    return Ragged(np.array([ord(letter) for text in texts for letter in text], np.int64), cu_seqlens)


class Counting:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> Ragged:
        self.asked.append(texts)
        return letters(texts)


@given(st.lists(st.lists(st.text("abé", max_size=30), max_size=8), max_size=8), st.integers(1, 20_000))
def test_the_answer_is_the_encoder_s_and_the_limit_holds(batches: list[list[str]], limit: int) -> None:
    cache, texts = TokenCache(limit), 0
    for batch in batches:
        found, expected = cache.encode(batch, letters), letters(batch)
        assert found.ids.tolist() == expected.ids.tolist()
        assert found.cu_seqlens.tolist() == expected.cu_seqlens.tolist()
        assert found.ids.dtype == found.cu_seqlens.dtype == np.int64
        texts += len(batch)
        counts = cache.counts()
        assert counts.bytes <= limit == counts.limit
        assert counts.hits + counts.misses == texts
        assert (counts.bytes == 0) == (counts.texts == 0)


def test_a_known_text_is_not_encoded_again() -> None:
    cache, encode = TokenCache(1 << 20), Counting()
    cache.encode(["a", "b"], encode)
    cache.encode(["b", "c", "a"], encode)
    cache.encode(["a", "b", "c"], encode)
    assert encode.asked == [["a", "b"], ["c"]]
    counts = cache.counts()
    assert (counts.hits, counts.misses, counts.texts) == (5, 3, 3)


def test_the_least_recently_used_goes_first() -> None:
    names = [f"text{number}" for number in range(8)]
    one = TokenCache(1 << 20)
    one.encode(names[:1], letters)
    cache, encode = TokenCache(8 * one.counts().bytes), Counting()  # room for eight texts of this length
    cache.encode(names, encode)
    cache.encode(["text0"], encode)
    cache.encode(["other"], encode)
    assert cache.counts().texts == 8
    cache.encode(["text0"], encode)
    assert encode.asked == [names, ["other"]]
    cache.encode(["text1"], encode)
    assert encode.asked[-1] == ["text1"]


def test_a_huge_text_does_not_empty_the_cache() -> None:
    cache, encode = TokenCache(1 << 14), Counting()
    cache.encode(["a", "b"], encode)
    cache.encode(["x" * 10_000], encode)
    assert cache.counts().texts == 2


def test_threads_share_one() -> None:
    cache = TokenCache(4000)
    batches = [[f"{number % 17} {'x' * (number % 11)}", str(number % 5)] for number in range(400)]
    with ThreadPoolExecutor(7) as threads:
        found = list(threads.map(lambda batch: cache.encode(batch, letters), batches))
    for batch, answer in zip(batches, found, strict=True):
        assert answer.ids.tolist() == letters(batch).ids.tolist()
    counts = cache.counts()
    assert counts.hits + counts.misses == 800
    assert counts.bytes <= 4000


def test_only_a_tokenizer_of_the_library_has_one(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "tokenizer.json")
    native = TextTokenizer(tmp_path / "tokenizer.json", "digest", cache_bytes=1 << 20)
    library = TextTokenizer(tmp_path / "tokenizer.json", "digest", native=False, cache_bytes=1 << 20)
    off = TextTokenizer(tmp_path / "tokenizer.json", "digest", native=False)
    for _ in range(2):
        assert (
            library.encode_many(["red cat", "dog"]).ids.tolist() == native.encode_many(["red cat", "dog"]).ids.tolist()
        )
    assert native.cache_counts is off.cache_counts is None
    assert library.cache_counts is not None
    assert (library.cache_counts.hits, library.cache_counts.misses) == (2, 2)


@pytest.mark.parametrize("size", [-1, 1.5, True])
def test_a_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(ConfigError, match="token_cache_mb"):
        CascadeConfig((Stage("model", keep=1),), token_cache_mb=size)


def test_the_setting_reaches_the_tokenizer(models: Path) -> None:
    for size in (0, 3):
        with Cascade(CascadeConfig((Stage(models / "ce", keep=1),), token_cache_mb=size)) as cascade:
            assert cascade.tokenizers == ("native WordPiece",)
            assert cascade.rank("red", ["red", "cat"]).order.tolist() == [0, 1]
