"""The small model while it is trained: how it starts, its optimizer in two precisions, and how it is kept."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from lessons import Group, read
from pair_head import PairModel, load_pair_model
from pairs import feed
from safetensors.torch import save_file
from tables import quantise_table
from torch import Tensor


def make_student(weights: Path, layers: int, bits: int, block: int) -> PairModel:
    """The first layers of the large model on the word table it will ship with, embeddings frozen, encoder in bf16."""
    student = load_pair_model(weights, layers)
    words = student.bert.embeddings.word_embeddings.weight
    words.data = torch.from_numpy(quantise_table(words.detach().numpy(), bits, block).table())
    student.bert.embeddings.requires_grad_(False)
    student.bert.to(torch.bfloat16)
    return student


@torch.inference_mode()
def fit_last_norm(student: PairModel, teacher: PairModel, groups: list[Group]) -> None:
    """Least squares, one slope and offset per dimension, from the student's states to the teacher's, folded into the
    student's last LayerNorm: a third layer's states are four times as long as a sixth's, and the head knows the latter.
    """
    mine, theirs = [], []
    for group in groups:
        inputs = {name: torch.from_numpy(array) for name, array in feed(group.rows).items()}
        attended = inputs["attention_mask"].bool()
        mine.append(read(student, inputs)[0][attended])
        theirs.append(read(teacher, inputs)[0][attended])
    x, y = torch.cat(mine), torch.cat(theirs)
    slope = ((x - x.mean(0)) * (y - y.mean(0))).mean(0) / x.var(0, unbiased=False)
    norm = student.bert.encoder.layer[-1].output.LayerNorm
    norm.weight.mul_(slope.to(norm.weight.dtype))
    norm.bias.mul_(slope.to(norm.bias.dtype)).add_((y.mean(0) - slope * x.mean(0)).to(norm.bias.dtype))


def save(student: PairModel, masters: list[Tensor], folder: Path, words: Tensor, report: dict[str, object]) -> None:
    """The student in full precision, named as the weights it came from, with what led to it."""
    state = {name: value.detach().float().contiguous() for name, value in student.state_dict().items()}
    trained = [name for name, parameter in student.named_parameters() if parameter.requires_grad]
    state.update({name: master.detach().clone() for name, master in zip(trained, masters, strict=True)})
    state["bert.embeddings.word_embeddings.weight"] = words.clone()
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half() for name, value in state.items()}, folder / "model.safetensors")
    config = student.bert.config.to_dict() | {"_name_or_path": "minilm-ce-small"}
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n", encoding="utf-8")
    (folder / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


class Trainer:
    """Optimizer, schedule and what a resumed run needs. Gradients arrive in bf16 and are applied to fp32 masters."""

    def __init__(self, student: PairModel, options: argparse.Namespace) -> None:
        self.parameters = [p for p in student.parameters() if p.requires_grad]
        self.masters = [p.detach().clone().float() for p in self.parameters]
        head = {id(p) for p in student.head.parameters()}
        rates = [options.head_rate if id(p) in head else options.rate for p in self.parameters]
        groups = [{"params": [m], "lr": rate, "peak": rate} for m, rate in zip(self.masters, rates, strict=True)]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)
        self.pairs, self.step_count, self.seconds = 0, 0, 0.0
        self.best, self.history = -1.0, []  # type: float, list[dict[str, float]]

    def progress(self, options: argparse.Namespace) -> float:
        """How much of the budget is spent, in pairs or in minutes, whichever is the larger share."""
        return max(self.pairs / options.pairs, self.seconds / 60 / options.minutes)

    def step(self, progress: float, warm_up: int = 30) -> None:
        """One clipped AdamW step; the rate rises over `warm_up` steps and falls linearly to 0 at progress 1."""
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            master.grad = parameter.grad.float() if parameter.grad is not None else None
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0)
        self.step_count += 1
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * min(1.0, self.step_count / warm_up) * max(0.0, 1.0 - progress)
        self.optimizer.step()
        for master, parameter in zip(self.masters, self.parameters, strict=True):
            parameter.data.copy_(master)

    def state(self) -> dict[str, object]:
        """Everything but the weights of the frozen parts."""
        kept = ("pairs", "step_count", "seconds", "best", "history")
        return {"masters": self.masters, "optimizer": self.optimizer.state_dict()} | {k: getattr(self, k) for k in kept}

    def load(self, state: dict[str, object]) -> None:
        """Take up a state of `state()`."""
        self.optimizer.load_state_dict(state.pop("optimizer"))  # type: ignore[arg-type]
        for master, parameter, value in zip(self.masters, self.parameters, state.pop("masters"), strict=True):
            master.copy_(value)
            parameter.data.copy_(value)
        for name, value in state.items():
            setattr(self, name, value)
