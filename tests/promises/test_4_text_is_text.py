"""A document that contains a special token gets its characters. Lone surrogates, NULs, empty strings, huge documents:
handled or refused with the candidate's index, never a crash. More cases, one by one: tests/bad_input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascaderank import Cascade, InputError, Stage
from tiny import SPECIAL, WORDS

parts = st.one_of(
    st.text(st.characters(codec=None), max_size=12),
    st.sampled_from([*SPECIAL, *WORDS, "<|im_end|>", "<|endoftext|>", "\x00", "\ud800", " ", "\u200b", "\ufeff"]),
)
anything = st.lists(parts, max_size=8).map("".join)


@pytest.fixture(scope="module")
def cascade(models: Path) -> Iterator[Cascade]:
    stages = [Stage(models / "bi", keep=9), Stage(models / "late", keep=8), Stage(models / "ce", keep=7)]
    with Cascade(stages, fusion="convex", truncate_query=True) as made:
        yield made


def well_formed(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


@settings(max_examples=200)
@given(anything, st.lists(anything, max_size=6))
def test_any_text_is_ranked_or_refused_by_name(cascade: Cascade, query: str, documents: list[str]) -> None:
    bad = [f"documents[{index}]" for index, text in enumerate(documents) if not well_formed(text)]
    try:
        ranking = cascade.rank(query, documents)
    except InputError as error:
        message = str(error)
        if message.startswith("query"):
            refused = not well_formed(query) or not query.strip()
        else:
            refused = bool(bad) and message.startswith(bad[0] + ":")
        if not refused:
            raise
    else:
        assert well_formed(query)
        assert not bad
        assert sorted(ranking.order.tolist()) == list(range(len(documents)))
        assert all(hit.score is not None for hit in ranking)


@pytest.mark.parametrize("token", SPECIAL)
def test_a_special_token_in_a_text_counts_as_its_characters(models: Path, token: str) -> None:
    """The counting model sees words only; its segments would be torn apart by a real [SEP]."""
    with Cascade([Stage(models / "ce", keep=9)]) as cascade:
        assert cascade.rank(f"red {token} cat", [f"{token} cat {token} red"])[0].score >= 2.0
        assert cascade.rank("red", [f"{token}"])[0].score == 0.0
        trace = cascade.rank("red", [token]).trace.stages[0]
    assert trace.tokens == 4 + len(_pieces(token))


def _pieces(token: str) -> list[str]:
    """Punctuation apart, as BERT's pre-tokenizer does it; a word inside is one token (known or [UNK])."""
    found: list[str] = []
    for character in token:
        if character.isalnum() and found and found[-1][-1].isalnum():
            found[-1] += character
        else:
            found.append(character)
    return found
