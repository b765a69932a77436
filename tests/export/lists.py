"""The texts every family is tested with: lists of 20 documents, from no token at all to far past the window."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np

from export.tiny_hf import CORPUS

QUERIES, DOCUMENTS = 10, 20
SPARE = 6  # documents more than a list needs: those torch itself cannot order are left out
ODD = ("[SEP] </s> <mask> are text", "<|endoftext|> is text", "東京は日本の首都であり", "Straße und Größe", "😀 ﬁ ½ é")
APART = 1e-5
"""Logits closer than this are a tie: fp32 sums in another order cannot tell them apart."""


def lists(count_tokens: Callable[[str], int], window: int, query_tokens: int) -> list[tuple[str, list[str]]]:
    """(query, documents) of random words of the tokenizer's corpus, the same each time.

    Of each list one document is empty, one has a single token (where the vocabulary has such a word), some are past the
    window; the others' lengths are spread over it.
    """
    draw = random.Random(5)
    words = [word for sentence in CORPUS[:7] for word in sentence.split()]
    single = next((word for word in words if count_tokens(word) == 1), words[0])
    made = []
    for number in range(QUERIES):
        query = _text(draw, words, count_tokens, 1 + number * query_tokens // QUERIES, query_tokens)
        lengths = [int(1.6 * window * (place / (DOCUMENTS + SPARE)) ** 2) for place in range(2, DOCUMENTS + SPARE)]
        documents = [_text(draw, words, count_tokens, max(length, 1)) for length in lengths]
        documents = ["", single, *documents]
        documents[3 + number] = ODD[number % len(ODD)]
        draw.shuffle(documents)
        made.append((query, documents))
    return made


def apart(scores: np.ndarray) -> list[int]:
    """Places of the first 20 scores that are all ``APART`` (relative above 1) from each other."""
    kept: list[int] = []
    for place, score in enumerate(scores.tolist()):
        if all(abs(score - scores[other]) > APART * max(1.0, abs(score)) for other in kept):
            kept.append(place)
    assert len(kept) >= DOCUMENTS, f"only {len(kept)} of {len(scores)} scores differ"
    return kept[:DOCUMENTS]


def order(scores: Sequence[float] | np.ndarray) -> list[int]:
    """Best first, the earlier place first among equals."""
    return np.argsort(-np.asarray(scores, np.float64), kind="stable").tolist()


def _text(
    draw: random.Random, words: list[str], count_tokens: Callable[[str], int], least: int, most: int | None = None
) -> str:
    chosen: list[str] = [draw.choice(words)]
    counted = count_tokens(chosen[0])
    while counted < least:
        chosen.append(draw.choice(words))
        counted += count_tokens(chosen[-1])
    text = " ".join(chosen)
    while most is not None and count_tokens(text) > most and len(text) > 1:
        text = text[:-1].rstrip() or text[0]
    return text
