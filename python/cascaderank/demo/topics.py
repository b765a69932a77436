"""The language reference as Python carries it: the topics of ``help()``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import cast

from cascaderank.demo.modules import import_quietly
from cascaderank.demo.passages import split_paragraphs

MIN_REPEATED_WORDS = 25
"""A repetition shorter than this stays: "is equivalent to" says something where it stands."""


def read_topics() -> Iterator[tuple[str, str, str]]:
    """(name, title, text) of each topic, short ones first.

    Some topics are chapters that contain others (``specialnames`` has all of ``customization``): what a topic repeats
    from earlier ones is left out of it, and a topic of which nothing is left is left out altogether.
    """
    topics = cast("dict[str, str]", getattr(import_quietly("pydoc_data.topics"), "topics", {}))
    seen: set[str] = set()
    for name in sorted(topics, key=lambda name: (len(topics[name]), len(name), name)):
        paragraphs = split_paragraphs(topics[name])
        title = _heading(paragraphs[0]) or name
        new = [
            paragraph
            for repeated, group in groupby(paragraphs[_heading(paragraphs[0]) is not None :], lambda p: _key(p) in seen)
            for paragraph in _kept(list(group), repeated)
        ]
        seen.update(map(_key, paragraphs))
        if new:
            yield name, title, "\n\n".join(new)


def _heading(paragraph: str) -> str | None:
    """The text of an underlined line, None if the paragraph is not one."""
    lines = paragraph.splitlines()
    return lines[0].strip() if len(lines) == 2 and lines[1] and not lines[1].strip("*=-~^") else None


def _key(paragraph: str) -> str:
    return " ".join((_heading(paragraph) or paragraph).split())


def _kept(paragraphs: list[str], repeated: bool) -> list[str]:
    words = sum(len(paragraph.split()) for paragraph in paragraphs)
    return [] if repeated and words >= MIN_REPEATED_WORDS else paragraphs
