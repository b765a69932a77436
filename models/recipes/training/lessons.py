"""What a cross-encoder learns from a group of one query's candidates: the losses, and the measure on dev."""

from __future__ import annotations

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
from training.groups import Group


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


def read(model: PairModel, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Last hidden states [batch, length, size] and logits [batch], both float32."""
    ids, attended, types = inputs["input_ids"], inputs["attention_mask"], inputs["token_type_ids"]
    hidden = model.bert(ids, attended, types).last_hidden_state.float()
    return hidden, model.head(hidden, *segment_masks(ids, attended, types))[:, 0]


def group_loss(model: PairModel, group: Group, teacher: PairModel | None, weights: Weights) -> Tensor:
    """The grades' loss of one group and, with a teacher, how far its distribution and hidden states are."""
    inputs = {name: torch.from_numpy(array) for name, array in feed(group.rows).items()}
    hidden, logits = read(model, inputs)
    loss = graded_loss(logits, group.grades) if group.grades else logits.sum() * 0.0
    if teacher is None:
        return loss
    with torch.no_grad():
        target, wanted = read(teacher, inputs)
    attended = inputs["attention_mask"].float()
    if group.prior is not None:
        wanted = blended(wanted, torch.from_numpy(group.prior), weights.prior)
    distance = ((hidden - target).square().sum(-1) / target.square().sum(-1) * attended).sum() / attended.sum()
    agreement = kl_div(log_softmax(logits / 2, 0), softmax(wanted / 2, 0), reduction="sum") * 4
    return loss + weights.states * distance + weights.teacher * agreement


def blended(logits: Tensor, prior: Tensor, share: float) -> Tensor:
    """The sum of z-scores of a teacher's logits and of cheaper rankers, as spread out as the logits were."""
    spread = logits.std(correction=0)
    both = (1 - share) * (logits - logits.mean()) / spread.clamp(min=1e-6) + share * prior
    return both * spread / both.std(correction=0).clamp(min=1e-6)


def dev_ndcg(model: PairModel, lists: Collection, names: list[str], encoder: PairEncoder, threads: int) -> float:
    """Mean nDCG@10 over dev lists, in the precision the model is trained in; lists side by side."""

    def value(name: str) -> float:
        rows = lists.qrels[name]
        inputs = feed([encoder.pair(lists.queries[name], lists.documents[d]) for d in rows])
        with torch.inference_mode():
            logits = read(model, {key: torch.from_numpy(array) for key, array in inputs.items()})[1].numpy()
        return ndcg(rows, [list(rows)[i] for i in np.argsort(-logits, kind="stable")])

    with ThreadPoolExecutor(threads) as workers:
        return float(np.mean(list(workers.map(value, names))))
