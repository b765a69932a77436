"""Cuts long texts into passages of a size that the models read whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_WORDS = 180
"""Words of one passage. About 250 word pieces, what the shipped models read in one row."""

MIN_TAIL_WORDS = 30
"""A last piece with fewer words than this stays with the piece before it."""

HEADING_WORDS = 8
"""A paragraph with fewer words than this is never the last of a piece: it announces the next one."""

_BLANK_LINES = re.compile(r"\n[ \t]*\n+")


def count_words(text: str) -> int:
    """Words of ``text``: what white space separates, if it has a letter or a digit in it."""
    return sum(any(character.isalnum() for character in word) for word in text.split())


def split_paragraphs(text: str) -> list[str]:
    """Paragraphs of ``text``: what blank lines separate. Indentation stays, trailing white space does not."""
    return [paragraph.rstrip() for paragraph in _BLANK_LINES.split(text.strip("\n")) if paragraph.strip()]


def split_text(text: str, max_words: int = MAX_WORDS) -> list[str]:
    """Pieces of ``text`` of at most about ``max_words`` words, cut at paragraph ends where there are any.

    A paragraph that alone is too long is cut at line ends; a single line is never cut. A heading goes with what
    follows it, and a last piece of fewer than ``MIN_TAIL_WORDS`` words joins its predecessor, so a piece may hold a
    few words more. No text is lost: the pieces hold the same words in the same order. An empty text has no pieces.
    """
    pieces: list[list[str]] = []
    current: list[str] = []
    for paragraph in _short_paragraphs(text, max_words):
        if current and _words(current) + _words([paragraph]) > max_words:
            headings: list[str] = []
            while len(current) > 1 and _words(current[-1:]) < HEADING_WORDS:
                headings.insert(0, current.pop())
            pieces.append(current)
            current = headings
        current.append(paragraph)
    if pieces and _words(current) < MIN_TAIL_WORDS:
        pieces[-1] += current
    elif current:
        pieces.append(current)
    return ["\n\n".join(piece) for piece in pieces]


def _words(paragraphs: list[str]) -> int:
    return sum(len(paragraph.split()) for paragraph in paragraphs)


def _short_paragraphs(text: str, max_words: int) -> Iterator[str]:
    for paragraph in split_paragraphs(text):
        lines: list[str] = []
        for line in paragraph.splitlines():
            if lines and _words(lines) + len(line.split()) > max_words:
                yield "\n".join(lines)
                lines = []
            lines.append(line)
        yield "\n".join(lines)
