"""The native WordPiece tokenizer gives what the tokenizers library gives for the same file. The long run over millions
of characters and all collections is ``bench/fuzz_tokenizer.py``."""

# The pieces are what they are: letters that look like others, and wide ones.
# ruff: noqa: E501, RUF001

from __future__ import annotations

import json
import random
from itertools import islice, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascaderank.tokenizer import TextTokenizer
from hard_texts import FRAGMENTS, random_texts, well_formed
from tiny import SPECIAL, WORDS, write_tokenizer

# Pieces of every script that the fragments have, and entries that no normalised text can reach.
PIECES = (
    *"abcdefghijklmnopqrstuvwxyzéßσςжи漢字中文한글ᄒ〮.!-#", *(f"##{letter}" for letter in "abcdeinostuéςжᅡᆫ漢글〮!"),
    "un", "##able", "##aff", "the", "##ing", "cafe", "café", "istanbul", "i̇", "##i̇", "한국어", "नम", "##स", "Ab", "🇪", "##🇺",
)  # fmt: skip
SWITCHES = [
    dict(zip(("clean_text", "handle_chinese_chars", "strip_accents", "lowercase"), values, strict=True))
    for values in product((True, False), (True, False), (True, False, None), (True, False))
]
Both = tuple[TextTokenizer, TextTokenizer]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> list[Both]:
    """One pair (native, library) for each combination of switches; limits and prefixes vary along."""
    folder = tmp_path_factory.mktemp("tokenizers")
    write_tokenizer(folder / "plain.json", extra=[piece for piece in PIECES if piece not in (*SPECIAL, *WORDS)])
    file = json.loads((folder / "plain.json").read_text(encoding="utf-8"))
    made = []
    for number, switches in enumerate(SWITCHES):
        path = folder / f"{number}.json"
        file["normalizer"] = {"type": "BertNormalizer", **switches}
        file["model"]["max_input_chars_per_word"] = (100, 7, 1)[number % 3]
        file["model"]["continuing_subword_prefix"] = ("##", "", "#")[number // 3 % 3]
        path.write_text(json.dumps(file), encoding="utf-8")
        made.append((TextTokenizer(path, "native"), TextTokenizer(path, "library", native=False)))
    assert all(native.native and not library.native for native, library in made)
    return made


def same(both: Both, texts: list[str]) -> None:
    native, library = (tokenizer.encode_many(texts) for tokenizer in both)
    if not (np.array_equal(native.ids, library.ids) and np.array_equal(native.cu_seqlens, library.cu_seqlens)):
        for text in texts:
            assert both[0].encode(text).tolist() == both[1].encode(text).tolist(), ascii(text)


parts = st.one_of(
    st.text(max_size=8),
    st.sampled_from([*FRAGMENTS, *PIECES, *SPECIAL, *WORDS, " ", "\u0301", "\u00e9", "\u200d", "\x00"]),
)


@given(st.integers(0, len(SWITCHES) - 1), st.lists(st.lists(parts, max_size=8).map("".join), max_size=5))
def test_any_text_under_any_switch(tokenizers: list[Both], which: int, texts: list[str]) -> None:
    same(tokenizers[which], [well_formed(text) for text in texts])


@pytest.mark.parametrize("which", range(len(SWITCHES)))
def test_random_unicode_under_every_switch(tokenizers: list[Both], which: int) -> None:
    same(tokenizers[which], list(islice(random_texts(random.Random(which), list(PIECES)), 60)))


@pytest.mark.parametrize("which", [0, 3, 23])
def test_every_code_point_between_letters(tokenizers: list[Both], which: int) -> None:
    """Planes 0 and 1 and the variation selectors; what lies between and behind is unassigned or private use."""
    points = [chr(point) for point in (*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0200))]
    same(
        tokenizers[which],
        [" ".join(f"a{point}b" for point in points[at : at + 400]) for at in range(0, len(points), 400)],
    )


@pytest.mark.parametrize("unit", ["a", "é", "漢", "e\u0301", "!", " ", "\x00"])
def test_long_words_and_runs(tokenizers: list[Both], unit: str) -> None:
    for which in (0, 1, 2):
        same(tokenizers[which], [f"{unit * length} un" for length in (6, 7, 8, 99, 100, 101, 20_000)])


def test_many_threads_give_the_same(tokenizers: list[Both]) -> None:
    """Texts enough for several threads' shares, empty ones and one huge one among them."""
    texts = list(islice(random_texts(random.Random(5), list(PIECES)), 300))
    texts += ["", "un" * 600_000, "", "café " * 50_000, ""]
    native = tokenizers[0][0]
    many = native.encode_many(texts)
    singles = [native.encode(text) for text in texts]
    assert np.array_equal(many.ids, np.concatenate(singles))
    assert np.diff(many.cu_seqlens).tolist() == [len(single) for single in singles]
