"""Writes ``tables.inl``: what the WordPiece tokenizer has to know of every code point.

    python csrc/unicode/make_tables.py            write the tables
    python csrc/unicode/make_tables.py --check    only say whether the committed ones are what would be written

The tokenizers library is the authority, since the native tokenizer must agree with it exactly and its parts follow
different versions of Unicode. Every property is read off the library's behaviour, one code point at a time; Python's
unicodedata only supplies the combining classes, and every pair of characters whose order they decide is tried in the
library. Anything that the C++ code relies on and that does not hold ends this script.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import tokenizers
from tokenizers import normalizers, pre_tokenizers

_FILE = Path(__file__).with_name("tables.inl")
_BLOCK = 128
_HANGUL = range(0xAC00, 0xD7A4)  # decomposed by arithmetic, in unicode.hpp
_POINTS = [point for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]

# Bits of Character::flags; unicode.hpp has the same.
DROPPED, CLEANED, SPACE, PUNCTUATION, IDEOGRAPH, MARK, SEQUENCE = (1 << bit for bit in range(7))

Record = tuple[int, int, int, int]  # stripped, lowered (both as differences), flags, order


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    arguments = parser.parse_args()
    text = render(*records())
    if not arguments.check:
        _FILE.write_text(text, encoding="utf-8")
        print(f"written: {_FILE.name}, {len(text)} bytes")
    elif _FILE.read_text(encoding="utf-8") != text:
        sys.exit(f"{_FILE.name} differs from what this library and this Python give; run without --check and compare")


def records() -> tuple[dict[int, Record], list[str]]:
    """One record per code point, and the sequences of those that decompose to several characters."""
    cleaned, ideograph = _bert(clean_text=True), _bert(handle_chinese_chars=True)
    stripped, lowered = _bert(strip_accents=True), _bert(lowercase=True)
    decompose = normalizers.NFD().normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    found: dict[int, Record] = {}
    sequences: list[str] = []
    for point in _POINTS:
        character = chr(point)
        flags = 0
        clean, bare, lower = cleaned(character), stripped(character), lowered(character)
        flags |= DROPPED if clean == "" else CLEANED if clean == " " and point != 0x20 else 0
        _need(clean in ("", " ", character), point, "clean_text changes it")
        flags |= {1: 0, 2: SPACE, 3: PUNCTUATION}[len(split(f"a{character}b"))]
        spaced = ideograph(character)
        _need(spaced in (character, f" {character} "), point, "handle_chinese_chars changes it")
        flags |= IDEOGRAPH if spaced != character else 0
        # What wordpiece.cpp relies on: the buffer of ids is as long as the text's UTF-8 form.
        _need(len(lowered(bare)) <= len(character.encode()), point, "normalised to more characters than it has bytes")
        _need(len(lower) <= len(character.encode()), point, "lower case has more characters than it has bytes")
        _need(len(lower) == 1 or point == 0x130, point, "lower case of several characters (unicode.hpp knows U+0130)")
        _need(point >= 0x80 or (not flags & IDEOGRAPH and bare == character), point, "an ASCII character is changed")
        strip = 0
        if point in _HANGUL:
            _need(bare == _hangul(point), point, "not decomposed by arithmetic")
        elif bare == "":
            flags |= MARK
        elif len(bare) > 1:
            _need(len(bare) <= 3, point, "decomposed to more than three characters")
            flags |= SEQUENCE
            strip = len(sequences)
            sequences.append(bare)
        else:
            strip = ord(bare) - point
        # A character without a combining class ends the run that canonical ordering sorts.
        classes = [unicodedata.combining(part) for part in decompose(character)]
        order = 0 if 0 in classes else classes[0]
        found[point] = (strip, ord(lower) - point if len(lower) == 1 else 0, flags, order)
    _check_order(found, decompose)
    return found, sequences


def _bert(**step: bool) -> Callable[[str], str]:
    """One step of the library's BertNormalizer alone."""
    steps = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}
    return normalizers.BertNormalizer(**{**steps, **step}).normalize_str


def _hangul(point: int) -> str:
    lead, rest = divmod(point - _HANGUL.start, 588)
    vowel, tail = divmod(rest, 28)
    return chr(0x1100 + lead) + chr(0x1161 + vowel) + (chr(0x11A7 + tail) if tail else "")


def _check_order(found: dict[int, Record], decompose: Callable[[str], str]) -> None:
    """unicodedata's combining classes are the library's, as far as any result can tell.

    Which characters end a run: tried between two marks, of classes 240 and 1, that swap places unless it does. In which
    order the rest goes: every pair of those that outlive strip_accents. A character whose class is newer than the
    library's tables is given none.
    """
    for point, (strip, lower, flags, order) in list(found.items()):
        tried = decompose(f"\u0345{chr(point)}\u0334")
        ends = tried.index("\u0345") < tried.index("\u0334")
        if ends and order:
            found[point] = (strip, lower, flags, 0)
        _need(ends or order > 0, point, "has a combining class in the library only")
    kept = [point for point, record in found.items() if record[3] and not record[2] & (MARK | SEQUENCE)]
    for first, second in itertools.permutations(kept, 2):
        swapped = decompose(chr(first) + chr(second)) != chr(first) + chr(second)
        _need(swapped == (found[first][3] > found[second][3]), first, f"its order beside {second:#x} is another")


def _need(holds: bool, point: int, message: str) -> None:
    if not holds:
        sys.exit(f"U+{point:04X}: {message}")


def render(found: dict[int, Record], sequences: list[str]) -> str:
    plain: Record = (0, 0, 0, 0)
    kinds = {plain: 0}
    blocks: dict[tuple[int, ...], int] = {}
    pages = []
    for start in range(0, 0x110000, _BLOCK):
        block = tuple(kinds.setdefault(found.get(point, plain), len(kinds)) for point in range(start, start + _BLOCK))
        pages.append(blocks.setdefault(block, len(blocks)))
    _need(len(blocks) <= 256 and len(kinds) <= 65536, 0, "the tables need wider indices")
    return "\n".join(
        [
            "// Generated by make_tables.py; do not edit. Read off the behaviour of the tokenizers library "
            f"{tokenizers.__version__},",
            f"// with the combining classes of Unicode {unicodedata.unidata_version}. {_differences(found)}",
            "// clang-format off",
            f"inline constexpr std::size_t kBlock = {_BLOCK};",
            _array("Character", "kCharacters", [f"{{{', '.join(map(str, record))}}}" for record in kinds]),
            _array("std::array<char32_t, 3>", "kSequences", [_braced(sequence) for sequence in sequences]),
            _array("std::uint8_t", "kPages", [str(page) for page in pages]),
            _array("std::uint16_t", "kBlocks", [str(kind) for block in blocks for kind in block]),
            "// clang-format on",
            "",
        ]
    )


def _differences(found: dict[int, Record]) -> str:
    """How far the library is from Python's unicodedata, for the reader of the tables."""
    lower = sum(chr(point + record[1]) != chr(point).lower() for point, record in found.items() if point != 0x130)
    category = {point: unicodedata.category(chr(point)) for point in _POINTS if point >= 0x80}
    marks = sum((category[point] == "Mn") != bool(found[point][2] & MARK) for point in category)
    points = sum((category[point][0] == "P") != bool(found[point][2] & PUNCTUATION) for point in category)
    controls = sum((category[point] in ("Cc", "Cf", "Co")) != bool(found[point][2] & DROPPED) for point in category)
    return (
        f"Beside unicodedata it differs in {lower} lower cases,\n// {marks} nonspacing marks, {points} punctuation "
        f"characters and {controls} control characters."
    )


def _braced(sequence: str) -> str:
    return f"{{{{{', '.join(hex(ord(part)) for part in sequence)}}}}}"


def _array(kind: str, name: str, entries: Sequence[str]) -> str:
    lines, line = [], "   "
    for entry in entries:
        if len(line) + len(entry) + 2 > 120:
            lines.append(line)
            line = "   "
        line += f" {entry},"
    body = "\n".join([*lines, line])
    return f"inline constexpr std::array<{kind}, {len(entries)}> {name} = {{{{\n{body}\n}}}};"


if __name__ == "__main__":
    main()
