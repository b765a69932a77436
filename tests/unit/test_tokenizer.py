"""Texts to token ids: no special tokens, nothing cut, one text like many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascaderank.errors import InputError, ModelError
from cascaderank.tokenizer import TextTokenizer
from tiny import VOCABULARY, WORDS, ids, write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path)
    return TextTokenizer(path, "digest")


def test_ids_by_hand(tokenizer: TextTokenizer) -> None:
    found = tokenizer.encode("Red cat, unheard")
    assert found.dtype == np.int64
    assert found.tolist() == [*ids("red cat ,"), VOCABULARY["[UNK]"]]
    assert tokenizer.encode("").tolist() == tokenizer.encode(" \n").tolist() == []


def test_nothing_is_cut_or_padded_whatever_the_file_says(tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    path = tmp_path / "tokenizer.json"
    write_tokenizer(path)
    inner = Tokenizer.from_file(str(path))
    inner.enable_truncation(4)
    inner.enable_padding(length=16)
    inner.save(str(path))
    tokenizer = TextTokenizer(path, "digest")
    assert len(tokenizer.encode("red " * 50)) == 50
    assert np.diff(tokenizer.encode_many(["red", "red " * 50]).cu_seqlens).tolist() == [1, 50]


def test_special_tokens_in_a_text_are_its_characters(tokenizer: TextTokenizer) -> None:
    assert tokenizer.encode("[SEP]").tolist() == ids("[ sep ]")
    special = {number for token, number in VOCABULARY.items() if token not in WORDS} - {VOCABULARY["[UNK]"]}
    for text in ("[CLS] red [SEP]", "[PAD]", "[MASK]", "<s></s>", "[Q] [D]"):
        assert not special & set(tokenizer.encode(text).tolist()), text


@given(st.lists(st.one_of(st.text(max_size=30), st.lists(st.sampled_from(WORDS)).map(" ".join)), max_size=12))
def test_many_texts_are_the_single_ones_end_to_end(tokenizer: TextTokenizer, texts: list[str]) -> None:
    texts = [text for text in texts if not any(0xD800 <= ord(character) <= 0xDFFF for character in text)]
    many = tokenizer.encode_many(texts)
    singles = [tokenizer.encode(text).tolist() for text in texts]
    assert many.ids.dtype == many.cu_seqlens.dtype == np.int64
    assert many.ids.tolist() == [token for single in singles for token in single]
    assert np.diff(many.cu_seqlens).tolist() == [len(single) for single in singles]
    assert len(many) == len(texts)


def test_threads_share_one(tokenizer: TextTokenizer) -> None:
    texts = [" ".join(np.random.default_rng(seed).choice(WORDS[:8], 40)) for seed in range(50)]
    expected = [tokenizer.encode(text).tolist() for text in texts]
    with ThreadPoolExecutor(7) as threads:
        found = list(threads.map(lambda number: tokenizer.encode(texts[number % 50]).tolist(), range(500)))
    assert all(found[number] == expected[number % 50] for number in range(500))


def test_what_is_no_text_is_refused(tokenizer: TextTokenizer) -> None:
    with pytest.raises(InputError, match="strings only"):
        tokenizer.encode_many(["red", 3])


def test_a_token_s_id(tokenizer: TextTokenizer) -> None:
    assert tokenizer.token_id("[SEP]") == VOCABULARY["[SEP]"]
    assert tokenizer.vocab_size == len(VOCABULARY)
    with pytest.raises(ModelError, match=r"'\[EOS\]' is not in the vocabulary"):
        tokenizer.token_id("[EOS]")
