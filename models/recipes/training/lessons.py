"""What a cross-encoder learns from a group of one query's candidates: the losses, and the measure on dev."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, softmax

from cascaderank.evaluate.metrics import ndcg
from exporting.pair_head import PairModel, segment_masks
from texts.data import Collection
from texts.pairs import PairEncoder, feed
from training.groups import Group, Row

PART = 4  # rows that are read together
Known = list[tuple[Tensor, Tensor]]  # hidden states and logits of each part of a group


@dataclass(frozen=True, slots=True)
class Weights:
    """How much a teacher counts beside the grades: its distribution over the group, its last hidden states; and the
    share of a group's prior in that distribution."""

    teacher: float = 0.0
    states: float = 0.0
    prior: float = 0.0


def graded_loss(logits: Tensor, grades: list[int]) -> Tensor:
    """Softmax of each relevant passage against those of lower grade; logits float32 [n]."""
    levels = torch.tensor(grades)
    losses = [
        (2**g - 1) / 7 * -log_softmax(torch.cat([logits[i : i + 1], logits[levels < g]]), 0)[0]
        for i, g in enumerate(grades)
        if g > 0
    ]
    return torch.stack(losses).sum() / max(1.0, sum((2**g - 1) / 7 for g in grades)) if losses else logits.sum() * 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a group that are read together, as tensors [rows, longest]; `places` are theirs in the group."""

    places: list[int]
    inputs: dict[str, Tensor]


def parts(rows: Sequence[Row], size: int = PART) -> list[Part]:
    """A group's rows in parts of like length: a group that is padded to its longest row is a third padding."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place][0]))
    pieces = [order[start : start + size] for start in range(0, len(order), size)]
    return [Part(piece, tensors([rows[place] for place in piece])) for piece in pieces]


def tensors(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Rows as int64 tensors [rows, longest], by the name of the input."""
    return {name: torch.from_numpy(array) for name, array in feed(rows).items()}


def read(model: PairModel, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Last hidden states [batch, length, size] and logits [batch], both float32."""
    ids, attended, types = inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
    hidden = model.bert(ids, attended, types).last_hidden_state.float()
    return hidden, model.head(hidden, *segment_masks(ids, attended, types))[:, 0]


def group_loss(
    model: PairModel, group: Group, teacher: Callable[[Group, list[Part]], Known] | None, weights: Weights
) -> Tensor:
    """The grades' loss of one group and, with a teacher, how far its distribution and hidden states are."""
    pieces = parts(group.rows)
    order = np.argsort([place for part in pieces for place in part.places])
    mine = [read(model, part.inputs) for part in pieces]
    logits = torch.cat([values for _, values in mine])[order]
    loss = graded_loss(logits, group.grades) if group.grades else logits.sum() * 0.0
    if teacher is None:
        return loss
    theirs = teacher(group, pieces)
    wanted = torch.cat([values for _, values in theirs])[order]
    if group.prior is not None:
        wanted = blended(wanted, torch.from_numpy(group.prior), weights.prior)
    states = zip(pieces, mine, theirs, strict=True)
    distances = [apart(hidden, target, part.inputs["attention_mask"]) for part, (hidden, _), (target, _) in states]
    distance = torch.stack(distances).sum() / sum(len(ids) for ids, _ in group.rows)
    agreement = kl_div(log_softmax(logits / 2, 0), softmax(wanted / 2, 0), reduction="sum") * 4
    return loss + weights.states * distance + weights.teacher * agreement


def apart(hidden: Tensor, target: Tensor, attended: Tensor) -> Tensor:
    """Sum over tokens of the squared distance of states [rows, length, size] relative to the target's length."""
    return ((hidden - target).square().sum(-1) / target.square().sum(-1) * attended.float()).sum()


def blended(logits: Tensor, prior: Tensor, share: float) -> Tensor:
    """The sum of z-scores of a teacher's logits and of cheaper rankers, as spread out as the logits were."""
    spread = logits.std(correction=0)
    both = (1 - share) * (logits - logits.mean()) / spread.clamp(min=1e-6) + share * prior
    return both * spread / both.std(correction=0).clamp(min=1e-6)


def dev_ndcg(model: PairModel, lists: Collection, names: list[str], encoder: PairEncoder, threads: int) -> float:
    """Mean nDCG@10 over dev lists, in the precision the model is trained in; lists side by side."""

    def value(name: str) -> float:
        rows = lists.qrels[name]
        logits = np.empty(len(rows), np.float32)
        with torch.inference_mode():
            for part in parts([encoder.pair(lists.queries[name], lists.documents[d]) for d in rows]):
                logits[part.places] = read(model, part.inputs)[1].numpy()
        return ndcg(rows, [list(rows)[i] for i in np.argsort(-logits, kind="stable")])

    with ThreadPoolExecutor(threads) as workers:
        return float(np.mean(list(workers.map(value, names))))
