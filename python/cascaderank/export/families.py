"""What each model family needs, as data: one entry per family, decided by ``model_type`` of config.json.

A template entry "cls" or "sep" is the tokenizer's token of that role, an entry that starts with $ is a text. Templates
are compared with the tokenizer's own encoding before anything is exported, so a wrong entry here is an error and not a
plausible score. A new family is an entry here, a tiny model in tests/export/tiny_hf.py, a line in the tests' lists
(tests/export/test_families.py, test_embedders.py) and a row in docs/models.md. Nothing else branches on a
``model_type``.

Templates are those the authors publish: Devlin et al. 2019 (BERT), Liu et al. 2019 (RoBERTa), Conneau
et al. 2020 (XLM-R), Warner et al. 2024 (ModernBERT), and the model classes of transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cascaderank.errors import ModelError


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    ``pair``: empty where the family reads no plain pair. ``single``: empty where the tokenizer's own special tokens
    around a text are the template, as for decoders used as embedders.
    ``positions``: "from 0" if every row of the position table is usable (or positions are rotary); "after padding" if
    positions start at ``pad_token_id + 1``, which makes that many rows unusable.
    ``segments``: whether a pair's document is segment 1 where ``type_vocab_size`` is at least 2.
    ``width``: the key of config.json that holds the size of a hidden state.
    ``loading``: what transformers' ``from_pretrained`` is told beside the folder.
    ``expects``: keys of config.json with the values that are understood, the first where the file says nothing.
    ``published``: models people know, for the documentation; decides nothing.
    """

    name: str
    model_types: tuple[str, ...]
    pair: tuple[str, ...]
    single: tuple[str, ...]
    positions: Literal["from 0", "after padding"]
    segments: bool
    published: tuple[str, ...]
    width: str = "hidden_size"
    loading: Mapping[str, Any] = field(default_factory=dict)
    expects: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


_ONE_SEPARATOR = ("cls", "$query", "sep", "$document", "sep")
_TWO_SEPARATORS = ("cls", "$query", "sep", "sep", "$document", "sep")
_SINGLE = ("cls", "$text", "sep")
# transformers reads "alibi" and other names without complaint and uses absolute positions.
_ABSOLUTE = {"position_embedding_type": ("absolute",)}

FAMILIES = (
    # BERT, MiniLM, TinyBERT; 512 positions, segments 0/1.
    Family(
        name="BERT",
        model_types=("bert",),
        pair=_ONE_SEPARATOR,
        single=_SINGLE,
        positions="from 0",
        segments=True,
        expects=_ABSOLUTE,
        published=(
            "ms-marco-MiniLM-L6-v2",
            "ms-marco-TinyBERT-L2-v2",
            "all-MiniLM-L6-v2",
            "bge-*-en-v1.5",
            "colbertv2.0",
        ),
    ),
    # RoBERTa and XLM-R: two separators, one segment; 514 rows of positions are 512 usable ones.
    Family(
        name="RoBERTa",
        model_types=("roberta", "xlm-roberta", "camembert"),
        pair=_TWO_SEPARATORS,
        single=_SINGLE,
        positions="after padding",
        segments=False,
        expects=_ABSOLUTE,
        published=("bge-reranker-base", "bge-reranker-v2-m3", "multilingual-e5-*", "bge-m3"),
    ),
    # ELECTRA: BERT's input; its head has no pooler.
    Family(
        name="ELECTRA",
        model_types=("electra",),
        pair=_ONE_SEPARATOR,
        single=_SINGLE,
        positions="from 0",
        segments=True,
        expects=_ABSOLUTE,
        published=("ms-marco-electra-base",),
    ),
    # DistilBERT: BERT without segments.
    Family(
        name="DistilBERT",
        model_types=("distilbert",),
        pair=_ONE_SEPARATOR,
        single=_SINGLE,
        positions="from 0",
        segments=False,
        width="dim",
        published=("msmarco-distilbert-*", "multi-qa-distilbert-*"),
    ),
    # MPNet: RoBERTa's template and positions over BERT's vocabulary.
    Family(
        name="MPNet",
        model_types=("mpnet",),
        pair=_TWO_SEPARATORS,
        single=_SINGLE,
        positions="after padding",
        segments=False,
        published=("all-mpnet-base-v2", "multi-qa-mpnet-base-*"),
    ),
    # DeBERTa-v2 and -v3 (mxbai v1): relative positions; a window of max_position_embeddings all the same.
    Family(
        name="DeBERTa-v2",
        model_types=("deberta-v2",),
        pair=_ONE_SEPARATOR,
        single=_SINGLE,
        positions="from 0",
        segments=True,
        published=("mxbai-rerank-*-v1",),
    ),
    # ModernBERT (gte, ettin): rotary positions, no segments; it would compile itself when first run.
    Family(
        name="ModernBERT",
        model_types=("modernbert",),
        pair=_ONE_SEPARATOR,
        single=_SINGLE,
        positions="from 0",
        segments=False,
        loading={"reference_compile": False},
        published=(
            "gte-reranker-modernbert-base",
            "ettin-reranker-*-v1",
            "gte-modernbert-base",
            "GTE-ModernColBERT-v1",
        ),
    ),
    # ALBERT: BERT's input over SentencePiece words; one layer's weights serve all layers.
    Family(
        name="ALBERT",
        model_types=("albert",),
        pair=_ONE_SEPARATOR,
        single=_SINGLE,
        positions="from 0",
        segments=True,
        expects=_ABSOLUTE,
        published=("paraphrase-albert-small-v2",),
    ),
    # Decoders used as embedders: causal, rotary positions, pooled at the last token, the tokenizer's own end token.
    Family(
        name="decoder embedder",
        model_types=("qwen2", "qwen3", "mistral"),
        pair=(),
        single=(),
        positions="from 0",
        segments=False,
        published=("Qwen3-Embedding-*", "e5-mistral-7b-instruct"),
    ),
)


def family_of(config: Mapping[str, Any], where: str) -> Family:
    """The family of a config.json.

    Raises ``ModelError`` that lists the supported ``model_type``s, or names a setting that is not understood.
    """
    model_type = config.get("model_type")
    family = next((family for family in FAMILIES if model_type in family.model_types), None)
    if family is None:
        known = ", ".join(name for family in FAMILIES for name in family.model_types)
        raise ModelError(f"{where}: config.json has model_type {model_type!r}; supported are {known}")
    for key, values in family.expects.items():
        if (value := config.get(key, values[0])) not in values:
            raise ModelError(
                f"{where}: config.json has {key} {value!r}, which transformers' {family.name} class would ignore; "
                f"supported is {', '.join(map(repr, values))}"
            )
    return family


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


def hidden_size(family: Family, config: Mapping[str, Any]) -> int:
    """Components of one token's hidden state; 0 where config.json does not say."""
    value = config.get(family.width)
    return value if isinstance(value, int) else 0


def segments_of(family: Family, config: Mapping[str, Any], template: tuple[str, ...]) -> tuple[int, ...]:
    """One segment id per template entry: 1 from after the first separator that follows the query, else 0."""
    rows = config.get("type_vocab_size", 0)
    if "$query" not in template or not family.segments or not isinstance(rows, int) or rows < 2:
        return (0,) * len(template)
    boundary = template.index("sep", template.index("$query"))
    return tuple(int(place > boundary) for place in range(len(template)))
