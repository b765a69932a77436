"""What the small model is taught with: groups of one query's candidates, and the losses over a group."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from data import Bm25, Collection
from measures import ndcg
from pair_head import PairModel, segment_masks
from pairs import PairEncoder, feed
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, softmax

Row = tuple[list[int], int]


@dataclass(frozen=True, slots=True)
class Group:
    """One query's candidates as rows; `grades` is None where only the teacher's opinion counts."""

    rows: list[Row]
    grades: list[int] | None


def graded_groups(lists: Collection, encoder: PairEncoder, size: int, rng: np.random.Generator) -> Iterator[Group]:
    """Endless shuffled passes over the lists: every graded passage, filled up with others of grade 0."""
    names = lists.sample(None)
    while True:
        for name in rng.permutation(names):
            rows = lists.qrels[name]
            shuffled = [str(d) for d in rng.permutation(list(rows))]
            chosen = sorted(shuffled, key=lambda d: rows[d] == 0)[:size]
            query = lists.queries[name]
            yield Group([encoder.pair(query, lists.documents[d]) for d in chosen], [rows[d] for d in chosen])


def long_groups(collections: list[Collection], encoder: PairEncoder, rng: np.random.Generator) -> Iterator[Group]:
    """Endless questions of all collections in turn with their known passage and five of BM25's top 30."""
    indexes = [Bm25(collection.documents) for collection in collections]
    names = [collection.sample(None) for collection in collections]
    while True:
        for collection, index, queries in zip(collections, indexes, names, strict=True):
            name = str(rng.choice(queries))
            query, known = collection.queries[name], str(rng.choice(list(collection.qrels[name])))
            others = [d for d in index.top(query, 30) if d != known]
            chosen = [known, *map(str, rng.choice(others, min(5, len(others)), replace=False))]
            yield Group([encoder.pair(query, collection.documents[d]) for d in chosen], None)


def graded_loss(logits: Tensor, grades: list[int]) -> Tensor:
    """Softmax of each relevant passage against those of lower grade; logits float32 [n]."""
    levels = torch.tensor(grades)
    losses = [
        (2**g - 1) / 7 * -log_softmax(torch.cat([logits[i : i + 1], logits[levels < g]]), 0)[0]
        for i, g in enumerate(grades)
        if g > 0
    ]
    return torch.stack(losses).sum() / max(1.0, sum((2**g - 1) / 7 for g in grades)) if losses else logits.sum() * 0.0


def read(model: PairModel, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Last hidden states [batch, length, size] and logits [batch], both float32."""
    ids, attended, types = inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
    hidden = model.bert(ids, attended, types).last_hidden_state.float()
    return hidden, model.head(hidden, *segment_masks(ids, attended, types))[:, 0]


def group_loss(student: PairModel, teacher: PairModel, group: Group, weights: argparse.Namespace) -> Tensor:
    """The three losses of one group."""
    inputs = {name: torch.from_numpy(array) for name, array in feed(group.rows).items()}
    with torch.no_grad():
        target, wanted = read(teacher, inputs)
    hidden, logits = read(student, inputs)
    attended = inputs["attention_mask"].float()
    distance = ((hidden - target).square().sum(-1) / target.square().sum(-1) * attended).sum() / attended.sum()
    loss = weights.states * distance
    loss = loss + weights.teacher * kl_div(log_softmax(logits / 2, 0), softmax(wanted / 2, 0), reduction="sum") * 4
    return loss + graded_loss(logits, group.grades) if group.grades else loss


@torch.inference_mode()
def dev_ndcg(student: PairModel, lists: Collection, names: list[str], encoder: PairEncoder) -> float:
    """Mean nDCG@10 of the student over dev lists, in the precision it is trained in."""
    values = []
    for name in names:
        rows = lists.qrels[name]
        inputs = feed([encoder.pair(lists.queries[name], lists.documents[d]) for d in rows])
        logits = read(student, {key: torch.from_numpy(array) for key, array in inputs.items()})[1].numpy()
        values.append(ndcg(rows, [list(rows)[i] for i in np.argsort(-logits, kind="stable")]))
    return float(np.mean(values))
