"""Texts that are hard to tokenise: random ones from every part of Unicode, and adversarial ones. Used by tests and by
``bench/fuzz_tokenizer.py``."""

# The texts are what they are: letters that look like others, and wide ones.
# ruff: noqa: E501, RUF001

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

SURROGATES = range(0xD800, 0xE000)

# Where something happens to a character, beside plain ASCII: (first, last) of ranges that are drawn equally often.
RANGES = (
    (0x00, 0x7F), (0x20, 0x7E), (0x61, 0x7A), (0x41, 0x5A), (0x80, 0xFF), (0x100, 0x24F), (0x2B0, 0x36F), (0x370, 0x5FF),
    (0x600, 0x8FF), (0x900, 0xDFF), (0xE00, 0x10FF), (0x1100, 0x11FF), (0x1AB0, 0x1B7F), (0x1DC0, 0x1FFF),
    (0x2000, 0x20FF), (0x2100, 0x2BFF), (0x2E00, 0x303F), (0x3040, 0x33FF), (0x3400, 0x9FFF), (0xA640, 0xABFF),
    (0xAC00, 0xD7FF), (0xE000, 0xFAFF), (0xFB00, 0xFFFF), (0x10000, 0x11FFF), (0x1D100, 0x1D24F), (0x1E000, 0x1E95F),
    (0x1F000, 0x1FAFF), (0x20000, 0x323AF), (0xE0000, 0xE01EF), (0xF0000, 0x10FFFF), (0x0, 0x10FFFF),
)  # fmt: skip

FRAGMENTS = (
    "café naïve Zürich smörgåsbord façade", "cafe\u0301 nai\u0308ve", "İstanbul ıstanbul I\u0307", "ΟΔΥΣΣΕΥΣ Σ σς",
    "ﬁ ﬂ ﬃ Ǆ ǅ ǆ ß ẞ ŉ", "中文字符 漢字かな交じり文 カタカナ", "한국어 조선글 \u1112\u1161\u11ab", "नमस्ते ไทย العربية עברית", "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇪🇺",
    "a\u0315\u0300\u05ae\u0062 q\u0307\u0323 \u1e0b\u0323", "\U0001d15e\u302e\U0001d165\u302f\u0345", "\u0f73\u0f71\u0344",
    "a\u00adb\u200bc\u200dd\u2060e\ufefff", "tab\tline\nreturn\rvertical\x0bform\x0cnext\x85unit\x1fdel\x7f", "\x00\x01\ufffd",
    "a\u034fb\u0301\u034f\u0300", "!!!???...---___", "don't (can't) [won't] {x} <y> $5.00 #1 50% a&b c*d e+f=g h|i~j`k^l@m\\n/o:p;q",
    "\u037e\u0387\u1fef\u2000\u2001\u2329\u232a", "\u2010\u2013\u2014\u2018\u2019\u201c\u201d\u2026", "K Å Ω", "①②③ ½ ²",
    "[CLS] [SEP] [PAD] [MASK] [UNK] <s> </s> <|im_end|> [unused1]", "##ing ## # ##un", "豈更車賈滑串句龜龜契", "𠀀𪛖𫠠𫝀𫢸𮯰",
    "unaffable electroencephalographically antidisestablishmentarianism supercalifragilisticexpialidocious",
)  # fmt: skip


def well_formed(text: str) -> str:
    """Without lone surrogates, which have no UTF-8 form and are refused before any tokenizer sees them."""
    return "".join(character for character in text if ord(character) not in SURROGATES)


def random_texts(generator: random.Random, words: list[str]) -> Iterator[str]:
    """Without end: some hundred characters each. ``words`` are entries of a vocabulary, pieces of words included."""
    makers: tuple[Callable[[], str], ...] = (
        lambda: "".join(_character(generator) for _ in range(generator.randint(1, 12))),
        lambda: generator.choice(FRAGMENTS),
        lambda: generator.choice(words).removeprefix("##"),
        lambda: "".join(generator.choice(words).removeprefix("##") for _ in range(generator.randint(2, 5))),
        lambda: _spoilt(generator, generator.choice(words)),
        lambda: "".join(chr(generator.randint(0x300, 0x36F)) for _ in range(generator.randint(1, 9))),
        lambda: generator.choice("!?.,-_'\"()[]#*") * generator.randint(1, 30),
        lambda: generator.choice(" \t\n\r\u00a0\u2003\u3000\x0b\x85"),
    )
    while True:
        parts = [generator.choice(makers)() for _ in range(generator.randint(1, 60))]
        yield well_formed(generator.choice(("", " ", " ")).join(parts))


def adversarial_texts(words: list[str]) -> Iterator[str]:
    """A few megabytes: every code point between letters, beside marks and alone; words around every limit; long runs."""
    points = [chr(point) for point in range(0x110000) if point not in SURROGATES]
    for start in range(0, len(points), 512):
        block = points[start : start + 512]
        yield " ".join(f"a{point}b" for point in block)
        yield "".join(f"\u0345{point}\u0334 " for point in block)
        yield "".join(block)
    for length in (*range(95, 106), 199, 200, 201, 1000, 100_000):
        for unit in ("a", "é", "漢", "ж", "한", "e\u0301", "a\x00", "\u200d", "\U0001d15e", "un"):
            yield f"b {unit * length} c"
            yield f"{unit * length}!"
    for character in "!-_.'[]#…。「":
        yield character * 50_000
    for space in (" ", "\t", "\n", "\u3000", "\x0b", "\x00"):
        yield f"a{space * 50_000}b"
    yield from FRAGMENTS
    yield " ".join(FRAGMENTS) * 20
    for start in range(0, len(words), 256):
        chosen = words[start : start + 256]
        yield " ".join(chosen)
        yield " ".join(word.upper() for word in chosen)
        yield "".join(word.removeprefix("##") for word in chosen)
    yield ""


def _character(generator: random.Random) -> str:
    return chr(generator.randint(*generator.choice(RANGES)))


def _spoilt(generator: random.Random, word: str) -> str:
    """A word with one character more, in a random place."""
    place = generator.randint(0, len(word))
    return word[:place] + _character(generator) + word[place:]
