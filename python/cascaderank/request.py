"""One request while it is under way: its texts, its tokens so far, its budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cascaderank.admission import Flight
from cascaderank.cost import Cost
from cascaderank.documents import Candidates
from cascaderank.errors import StoreError
from cascaderank.job import Budget, clock
from cascaderank.kernels import EMPTY, Int64, Ragged
from cascaderank.manifest import Wording
from cascaderank.store import Store
from cascaderank.tokenizer import TextTokenizer

# Tokenised between two looks at the clock, and at whether somebody still waits: documents, and characters of them, a
# millisecond's worth or some; where there is no deadline, so many that nothing is lost by it.
_DOCUMENTS, _CHARACTERS = 64, 1 << 16
_WITHOUT_DEADLINE = 16


def tokens_key(tokenizer: TextTokenizer, wording: Wording) -> str:
    """What decides the tokens of a text: the tokenizer file and what is put around the text."""
    key = f"{tokenizer.digest}:{wording.prefix}"
    if wording.suffix or (wording.always and wording.prefix):
        key += f":{wording.suffix}:{'always' if wording.always else 'once'}"
    return key


@dataclass(slots=True)
class _Tokens:
    """Tokens of the candidates seen so far; ``row_of[candidate]`` is the row in ``texts``, -1 where unknown."""

    row_of: Int64
    texts: Ragged = EMPTY


@dataclass(slots=True)
class Request:
    """``store_rows`` holds each candidate's row in ``store`` (-1: unknown there); None without a store.

    ``instruction`` is what decoders are told to judge by, None: their own. ``max_document_tokens`` cuts documents that
    are longer, None: at the models' windows alone. ``flight`` is its place among the
    requests under way (None: outside a cascade). ``kept`` is where a stage leaves what it may need again in it.
    """

    query: str
    candidates: Candidates
    store: Store | None
    store_rows: Int64 | None
    budget: Budget
    truncate_query: bool = False
    instruction: str | None = None
    max_document_tokens: int | None = None
    flight: Flight | None = None
    kept: dict[object, Any] = field(default_factory=dict)
    _queries: dict[str, Int64] = field(default_factory=dict)
    _documents: dict[str, _Tokens] = field(default_factory=dict)

    @property
    def stored(self) -> bool:
        """Whether the store knows every candidate."""
        return self.store_rows is not None and bool((self.store_rows >= 0).all())

    def query_tokens(self, tokenizer: TextTokenizer, wording: Wording) -> Int64:
        """The query's token ids, encoded once per tokenizer and wording."""
        key = tokens_key(tokenizer, wording)
        if key not in self._queries:
            self._queries[key] = tokenizer.encode(wording.around(self.query))
        return self._queries[key]

    def document_tokens(
        self, tokenizer: TextTokenizer, wording: Wording, wanted: Int64, cost: Cost
    ) -> tuple[Ragged, Int64]:
        """Tokens of the candidates ``wanted`` and their rows; each document is encoded at most once per tokenizer.

        A row is -1 where the deadline left no time to encode the text.
        """
        key = tokens_key(tokenizer, wording)
        known = self._documents.get(key)
        if known is None:
            known = self._documents[key] = _Tokens(np.full(self.candidates.size, -1, np.int64))
        missing = wanted[known.row_of[wanted] < 0]
        if missing.size:
            missing = self._from_store(key, known, missing)
        if missing.size:
            self._encode(tokenizer, wording, known, missing, cost)
        return known.texts, known.row_of[wanted]

    def _from_store(self, key: str, known: _Tokens, missing: Int64) -> Int64:
        if self.store is None or self.store_rows is None or key not in self.store.schema.tokens:
            return missing
        rows = self.store_rows[missing]
        stored = missing[rows >= 0]
        texts, positions = self.store.tokens(key, rows[rows >= 0])
        _append(known, stored[positions], texts)
        return missing[rows < 0]

    def _encode(self, tokenizer: TextTokenizer, wording: Wording, known: _Tokens, missing: Int64, cost: Cost) -> None:
        texts = self.candidates.texts
        if not texts:
            made_for = ", ".join(sorted(self.store.models.values())) if self.store else "none"
            raise StoreError(
                f"store: no tokens of tokenizer {tokenizer.path}; it was made for other models ({made_for}); "
                f"{self.store.remedy if self.store else 'encode the documents'}"
            )
        more = 1 if self.budget.due is not None else _WITHOUT_DEADLINE
        start = 0
        while start < missing.size:
            given, size = [], 0
            for index in missing[start : start + more * _DOCUMENTS].tolist():
                given.append(wording.around(texts[index]))
                size += len(given[-1])
                if size >= more * _CHARACTERS:
                    break
            if self.budget.cancellation.cancelled or not self.budget.allows(cost.estimate(size)):
                return
            begun = clock()
            encoded = tokenizer.encode_many(given)
            cost.observe(size, clock() - begun)
            _append(known, missing[start : start + len(given)], encoded)
            start += len(given)


def _append(known: _Tokens, candidates: Int64, texts: Ragged) -> None:
    known.row_of[candidates] = np.arange(len(known.texts), len(known.texts) + len(texts))
    if len(known.texts):
        texts = Ragged(
            np.concatenate([known.texts.ids, texts.ids]),
            np.concatenate([known.texts.cu_seqlens, known.texts.cu_seqlens[-1] + texts.cu_seqlens[1:]]),
        )
    known.texts = texts
