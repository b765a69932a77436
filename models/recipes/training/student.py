"""How the small model starts: some layers of the large one, with the heads and neurons that matter most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from exporting.pair_head import PairModel, load_pair_model
from exporting.tables import quantise_table
from training.groups import Group
from training.lessons import read, tensors


def make_student(weights: Path, layers: Sequence[int], heads: int, neurons: int, groups: list[Group]) -> PairModel:
    """Layers of the large model with the heads and neurons that matter most."""
    student = load_pair_model(weights)
    bert = student.bert
    bert.encoder.layer = nn.ModuleList([bert.encoder.layer[i] for i in layers])
    bert.config.num_hidden_layers = len(layers)
    keep_heads(student, heads, groups)
    keep_neurons(student, neurons, groups)
    return student


def as_shipped(student: PairModel) -> PairModel:
    """The same model on the word table it will ship with, embeddings frozen."""
    words = student.bert.embeddings.word_embeddings.weight
    words.data = torch.from_numpy(quantise_table(words.detach().numpy()).table())
    student.bert.embeddings.requires_grad_(False)
    return student


@torch.no_grad()
def mean_squares(model: PairModel, modules: Sequence[nn.Module], groups: list[Group]) -> list[Tensor]:
    """Mean square of every number that each of these modules takes, float32 [its inputs], over some groups."""
    squares: list[Tensor | float] = [0.0 for _ in modules]

    def note(place: int, given: Tensor) -> None:
        squares[place] = squares[place] + given.flatten(0, -2).square().mean(0) / len(groups)

    hooks = [
        module.register_forward_pre_hook(lambda _module, inputs, place=place: note(place, inputs[0]))
        for place, module in enumerate(modules)
    ]
    for group in groups:
        read(model, tensors(group.rows))
    for hook in hooks:
        hook.remove()
    return [square for square in squares if isinstance(square, Tensor)]


@torch.no_grad()
def keep_heads(model: PairModel, count: int, groups: list[Group]) -> None:
    """Keep the `count` attention heads of each layer that move its output most: rms context times the norm of the
    outgoing weights."""
    layers = list(model.bert.encoder.layer)
    size = model.bert.config.hidden_size // model.bert.config.num_attention_heads
    outers = [layer.attention.output.dense for layer in layers]
    dropped = {}
    for place, (outer, square) in enumerate(zip(outers, mean_squares(model, outers, groups), strict=True)):
        moved = (square * outer.weight.square().sum(0)).view(-1, size).sum(1)
        dropped[place] = moved.topk(len(moved) - count, largest=False).indices.tolist()
    model.bert.prune_heads(dropped)


@torch.no_grad()
def keep_neurons(model: PairModel, count: int, groups: list[Group]) -> None:
    """Keep the `count` feed-forward neurons of each layer that move its output most: rms activation times the norm of
    the outgoing weights."""
    layers = list(model.bert.encoder.layer)
    squares = mean_squares(model, [layer.output.dense for layer in layers], groups)
    for layer, square in zip(layers, squares, strict=True):
        inner, outer = layer.intermediate.dense, layer.output.dense
        kept = (square.sqrt() * outer.weight.norm(dim=0)).topk(count).indices.sort().values
        inner.weight, inner.bias = nn.Parameter(inner.weight[kept].clone()), nn.Parameter(inner.bias[kept].clone())
        outer.weight = nn.Parameter(outer.weight[:, kept].clone())
        inner.out_features = outer.in_features = count
    model.bert.config.intermediate_size = count


@torch.inference_mode()
def fit_last_norm(student: PairModel, teacher: PairModel, groups: list[Group]) -> None:
    """Least squares, one slope and offset per dimension, from the student's states to the teacher's, folded into the
    student's last LayerNorm: an early layer's states are several times as long as the last one's, and the head knows
    the latter."""
    mine, theirs = [], []
    for group in groups:
        inputs = tensors(group.rows)
        attended = inputs["attention_mask"].bool()
        mine.append(read(student, inputs)[0][attended])
        theirs.append(read(teacher, inputs)[0][attended])
    x, y = torch.cat(mine), torch.cat(theirs)
    slope = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / x.var(0, unbiased=False)
    norm = student.bert.encoder.layer[-1].output.LayerNorm
    norm.weight.mul_(slope.to(norm.weight.dtype))
    norm.bias.mul_(slope.to(norm.bias.dtype)).add_((y.mean(0) - slope * x.mean(0)).to(norm.bias.dtype))
