"""What each model family needs, as data: one entry per family, decided by ``model_type`` of config.json.

A template entry "cls" or "sep" is the tokenizer's token of that role, an entry that starts with $ is a text. Templates
are compared with the tokenizer's own encoding before anything is exported, so a wrong entry here is an error and not a
plausible score. A new family is an entry here, a tiny model in tests/export/tiny_hf.py and a row in test_families.py.

Templates are those the authors publish: Devlin et al. 2019 (BERT), Liu et al. 2019 (RoBERTa), Conneau
et al. 2020 (XLM-R), Warner et al. 2024 (ModernBERT), and the model classes of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cascaderank.errors import ModelError


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    ``positions``: "from 0" if every row of the position table is usable (or positions are rotary); "after padding" if
    positions start at ``pad_token_id + 1``, which makes that many rows unusable.
    ``segments``: whether a pair's document is segment 1 where ``type_vocab_size`` is at least 2.
    """

    name: str
    model_types: tuple[str, ...]
    pair: tuple[str, ...]
    single: tuple[str, ...]
    positions: Literal["from 0", "after padding"]
    segments: bool


FAMILIES = (
    # BERT, MiniLM, TinyBERT; 512 positions, segments 0/1.
    Family(
        name="BERT",
        model_types=("bert",),
        pair=("cls", "$query", "sep", "$document", "sep"),
        single=("cls", "$text", "sep"),
        positions="from 0",
        segments=True,
    ),
    # RoBERTa and XLM-R: two separators, one segment; 514 rows of positions are 512 usable ones.
    Family(
        name="RoBERTa",
        model_types=("roberta", "xlm-roberta", "camembert"),
        pair=("cls", "$query", "sep", "sep", "$document", "sep"),
        single=("cls", "$text", "sep"),
        positions="after padding",
        segments=False,
    ),
    # ELECTRA: BERT's input; its head has no pooler.
    Family(
        name="ELECTRA",
        model_types=("electra",),
        pair=("cls", "$query", "sep", "$document", "sep"),
        single=("cls", "$text", "sep"),
        positions="from 0",
        segments=True,
    ),
    # DistilBERT: BERT without segments.
    Family(
        name="DistilBERT",
        model_types=("distilbert",),
        pair=("cls", "$query", "sep", "$document", "sep"),
        single=("cls", "$text", "sep"),
        positions="from 0",
        segments=False,
    ),
    # MPNet: RoBERTa's template and positions over BERT's vocabulary.
    Family(
        name="MPNet",
        model_types=("mpnet",),
        pair=("cls", "$query", "sep", "sep", "$document", "sep"),
        single=("cls", "$text", "sep"),
        positions="after padding",
        segments=False,
    ),
    # DeBERTa-v2 and -v3 (mxbai v1): relative positions; a window of max_position_embeddings all the same.
    Family(
        name="DeBERTa-v2",
        model_types=("deberta-v2",),
        pair=("cls", "$query", "sep", "$document", "sep"),
        single=("cls", "$text", "sep"),
        positions="from 0",
        segments=True,
    ),
    # ModernBERT (gte, ettin): rotary positions, no segments.
    Family(
        name="ModernBERT",
        model_types=("modernbert",),
        pair=("cls", "$query", "sep", "$document", "sep"),
        single=("cls", "$text", "sep"),
        positions="from 0",
        segments=False,
    ),
)


def family_of(config: Mapping[str, Any], where: str) -> Family:
    """The family of a config.json; raises ``ModelError`` that lists the supported ``model_type``s."""
    model_type = config.get("model_type")
    for family in FAMILIES:
        if model_type in family.model_types:
            return family
    known = ", ".join(name for family in FAMILIES for name in family.model_types)
    raise ModelError(f"{where}: config.json has model_type {model_type!r}; supported are {known}")


def usable_positions(family: Family, config: Mapping[str, Any], where: str) -> int:
    """Tokens one row may have, special tokens included."""
    rows = config.get("max_position_embeddings")
    if not isinstance(rows, int) or rows < 1:
        raise ModelError(f"{where}: config.json has max_position_embeddings {rows!r}, expected a positive integer")
    if family.positions == "from 0":
        return rows
    pad = config.get("pad_token_id")
    # transformers' default for these model types; older config files leave it out.
    reserved = (pad if isinstance(pad, int) else 1) + 1
    return rows - reserved


def segments_of(family: Family, config: Mapping[str, Any], template: tuple[str, ...]) -> tuple[int, ...]:
    """One segment id per template entry: 1 from after the first separator that follows the query, else 0."""
    rows = config.get("type_vocab_size", 0)
    if "$query" not in template or not family.segments or not isinstance(rows, int) or rows < 2:
        return (0,) * len(template)
    boundary = template.index("sep", template.index("$query"))
    return tuple(int(place > boundary) for place in range(len(template)))
