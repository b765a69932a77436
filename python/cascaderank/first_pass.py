"""BM25 over texts in memory: the first pass of the demo, and of small collections that have no search engine.

The cascade takes candidates from anywhere; this is a convenience. It is the only module that imports bm25s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.documents import check_query, check_text
from cascaderank.errors import InputError, MissingExtraError

TOKEN_PATTERN = r"(?u)[^\W_]{2,}"
"""Runs of two or more letters and digits: ``lru_cache`` and ``os.path`` are two words each."""

K1 = 1.2
B = 0.75


class Bm25:
    """An index of ``texts``, searched by BM25 (Lucene's variant) over English stems without stop words.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; the variants are compared
    in Lù, "BM25S", arXiv 2407.03618. Building takes about a second for 5,000 passages. Read-only afterwards.

    Raises ``MissingExtraError`` where bm25s or PyStemmer is not installed, ``InputError`` for no texts, or a text that
    is not a string (naming its index).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        bm25s, stemmer = _import_bm25s()
        if isinstance(texts, str) or not len(texts):
            raise InputError("texts: expected at least one text in a list; BM25 needs something to search")
        checked = [check_text(text, f"texts[{index}]") for index, text in enumerate(texts)]
        self._tokenize = bm25s.tokenize
        self._stemmer = stemmer
        self._size = len(checked)
        words: list[list[str]] = self._words(checked)
        self._index: Any = None  # no word at all in the texts: nothing matches
        if any(words):
            self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
            self._index.index(words, show_progress=False)

    def __len__(self) -> int:
        return self._size

    def scores(self, query: str) -> NDArray[np.float32]:
        """BM25 scores of all texts, float32 ``[n]``; 0 where no word of the query occurs."""
        words = self._words([check_query(query)])[0]
        if self._index is None or not words:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._index.get_scores(words), dtype=np.float32)

    def top(self, query: str, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The ``min(k, n)`` best texts: indices (int64) and scores (float32), score descending, then index ascending.

        Texts without any word of the query have score 0 and so come last, in the order of their indices.
        Raises ``InputError`` for ``k`` < 1 and for an empty query.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise InputError(f"k: {k!r} is not a number of texts; give an integer of 1 or more")
        scores = self.scores(query)
        eligible = np.arange(self._size)
        if k < self._size:
            smallest = np.partition(scores, self._size - k)[self._size - k]
            eligible = np.flatnonzero(scores >= smallest)  # in index order, which the stable sort below keeps
        order = np.argsort(-scores[eligible], kind="stable")[:k]
        indices = eligible[order].astype(np.int64, copy=False)
        return indices, scores[indices]

    def _words(self, texts: list[str]) -> list[list[str]]:
        words: list[list[str]] = self._tokenize(
            texts,
            token_pattern=TOKEN_PATTERN,
            stopwords="en",
            stemmer=self._stemmer,
            return_ids=False,
            show_progress=False,
        )
        return words


def _import_bm25s() -> tuple[Any, Any]:
    try:
        import bm25s
        import Stemmer
    except ImportError as error:
        raise MissingExtraError(
            f"Bm25 needs the package {error.name}, which is not installed; pip install 'cascaderank[demo]'"
        ) from error
    return bm25s, Stemmer.Stemmer("english")
