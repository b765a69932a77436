"""What is scored: one query and its candidates, with the lengths of real collections or chosen ones.

Every ``Request`` says where its texts come from. Lengths count the special tokens of a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from cascaderank.demo.corpus import read_corpus
from cascaderank.evaluate.data import load_beir
from cascaderank.first_pass import Bm25

QUERY = "how do I read a large file line by line without loading all of it into memory"
MIXED = (60, 310)  # tokens of a pair; the spread of passages that search engines index
LIMIT = 512
_WORDS = ("river", "bank", "water", "cold", "hills", "autumn", "wide")


@dataclass(frozen=True, slots=True)
class Request:
    """``lengths`` int64 ``[texts]``: tokens of each pair."""

    name: str
    query: str
    texts: list[str]
    lengths: np.ndarray

    def line(self) -> str:
        return (
            f"{self.name}: {len(self.texts)} pairs, {self.lengths.mean():.0f} tokens on average "
            f"({self.lengths.min()} to {self.lengths.max()}, median {np.median(self.lengths):.0f})"
        )


class Lengths:
    """Counts tokens of pairs with a model's own tokenizer."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(LIMIT)

    def __call__(self, query: str, texts: list[str]) -> np.ndarray:
        return np.array([len(row.ids) for row in self._tokenizer.encode_batch([(query, text) for text in texts])])

    def words(self, count: int, seed: int = 0) -> str:
        """A text of so many tokens: each of these words is one, drawn with ``seed``."""
        return " ".join(np.random.default_rng(seed).choice(_WORDS, count))


def mixed(measure: Lengths, count: int, limits: tuple[int, int] = MIXED, seed: int = 0) -> Request:
    """Passages of Python's own documentation that make pairs of so many tokens, in no order of length."""
    texts = [document.text for document in read_corpus()]
    texts = [texts[place] for place in np.random.default_rng(seed).permutation(len(texts)).tolist()]
    lengths = measure(QUERY, texts)
    held = np.flatnonzero((lengths >= limits[0]) & (lengths <= limits[1]))
    repeated = np.resize(held, count)  # a count above what there is takes passages again
    return Request("mixed", QUERY, [texts[place] for place in repeated.tolist()], lengths[repeated])


def collection(measure: Lengths, folder: Path, count: int, seed: int = 0) -> Request:
    """BM25's best documents for one test query of a collection, drawn with a fixed seed."""
    data = load_beir(folder, "test")
    texts = list(data.corpus.values())
    query = list(data.queries.values())[int(np.random.default_rng(seed).integers(len(data.queries)))]
    rows, _ = Bm25(texts).top(query, count)
    chosen = [texts[row] for row in rows.tolist()]
    return Request(folder.name, query, chosen, measure(query, chosen))


def equal(measure: Lengths, tokens: int, count: int) -> Request:
    """Pairs that all have ``tokens`` tokens: nobody pads anything."""
    query = measure.words(max(1, min(12, tokens // 2 - 3)))
    special = int(measure("the", ["the"])[0]) - 2
    room = tokens - special - len(query.split())
    texts = [measure.words(room, seed) for seed in range(1, count + 1)]
    lengths = measure(query, texts[:1]).repeat(count)
    if lengths[0] != tokens:
        raise SystemExit(f"pairs of {tokens} tokens were wanted, these have {lengths[0]}")
    return Request(f"{tokens} tokens", query, texts, lengths)


def requests(
    names: list[str], measure: Lengths, count: int, data: Path | None, say: Callable[[str], object] = print
) -> list[Request]:
    """The named length distributions; one whose collection is not there is left out with a line that says so."""
    found = []
    for name in names:
        if name == "mixed":
            found.append(mixed(measure, count))
        elif data is not None and (data / name).is_dir():
            found.append(collection(measure, data / name, count))
        else:
            say(f"{name}: left out, there is no folder {data / name if data else name} (--data)")
    return found
