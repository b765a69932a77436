"""Optimizer and loop of every cross-encoder: gradients on fp32 masters, early stopping on dev, resumable."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from queue import SimpleQueue

import torch
from rich.progress import Progress
from safetensors.torch import save_file
from torch import Tensor

from exporting.pair_head import PairModel
from texts.lists import GRADED
from training.groups import Group

WORDS = "bert.embeddings.word_embeddings.weight"


def arguments(
    parser: argparse.ArgumentParser, *, out: str, pairs: int, rate: float, head_rate: float
) -> argparse.Namespace:
    """The options that all training commands share; the command's own are in `parser` already."""
    here = Path(__file__).resolve().parents[1]
    shared = here.parents[2] / "shared"
    parser.add_argument("--data", type=Path, default=shared / "data", help="folder of the collections")
    parser.add_argument("--lists", type=Path, default=GRADED, help="folder of the project's own graded lists")
    parser.add_argument("--out", type=Path, default=here / "checkpoints" / out)
    parser.add_argument("--cache", type=Path, default=here / "cache")
    parser.add_argument("--bi", type=Path, default=here.parent / "cascaderank_models" / "minilm-bi", help="mines")
    parser.add_argument("--passages", type=int, default=5000, help="of each collection, to find negatives in")
    parser.add_argument("--pairs", type=int, default=pairs, help="pairs to train on; the rate falls to 0 with them")
    parser.add_argument("--minutes", type=float, default=1e9, help="end earlier: whichever comes first")
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--head-rate", type=float, default=head_rate)
    parser.add_argument("--dev-lists", type=int, default=64, help="dev lists of each source")
    parser.add_argument("--every", type=int, default=6000, help="pairs between two looks at dev")
    parser.add_argument("--patience", type=int, default=4, help="looks at dev without a gain before stopping")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # groups run side by side instead: no barrier waits for the slowest core
    torch.manual_seed(options.seed)
    return options


class Trainer:
    """Optimizer, schedule and what a resumed run needs. Gradients arrive in the precision that is trained in and
    are applied to fp32 masters."""

    def __init__(self, model: PairModel, options: argparse.Namespace, words: Tensor) -> None:
        """`words` is the word table to keep with the weights, where the model trains on a coarser one."""
        self.model, self.options, self._words = model, options, words
        self._replicas = [model, *(share(model) for _ in range(options.threads - 1))]
        self._workers = ThreadPoolExecutor(len(self._replicas))  # kept: memory of a thread that ended stays its own
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.masters = [p.detach().clone().float() for p in self.parameters]
        head = {id(p) for p in model.head.parameters()}
        rates = [options.head_rate if id(p) in head else options.rate for p in self.parameters]
        groups = [{"params": [m], "lr": rate, "peak": rate} for m, rate in zip(self.masters, rates, strict=True)]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01)
        self.pairs, self.step_count, self.seconds = 0, 0, 0.0
        self.best, self.stale, self.history = -1.0, 0, []  # type: float, int, list[dict[str, object]]
        if (options.out / "resume.pt").is_file():
            self._load(torch.load(options.out / "resume.pt", weights_only=True))
            print(f"going on at {self.pairs} pairs, best dev nDCG@10 {self.best:.4f}")

    def run(
        self,
        groups: Callable[[], list[Group]],
        loss_of: Callable[[PairModel, Group], Tensor],
        dev: Callable[[PairModel], dict[str, float]],
    ) -> None:
        """`groups` gives one step's, `loss_of` a group's loss, `dev` a figure per dev set, whose mean decides. Ends
        with the budget, or when `patience` looks at dev brought nothing."""
        options = self.options
        if not self.history:
            self._look(dev(self.model), None)
        next_look, started, before = self.pairs + options.every, time.time(), self.seconds
        with Progress(disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("training", total=options.pairs, completed=self.pairs)
            while (progress := self._progress()) < 1:
                lesson = groups()
                loss = self._gradients(lesson, loss_of)
                self._update(progress)
                self.pairs += sum(len(group.rows) for group in lesson)
                self.seconds = before + time.time() - started
                bar.update(task, completed=self.pairs)
                if self.pairs >= next_look or self._progress() >= 1:
                    next_look += options.every
                    self._look(dev(self.model), round(loss, 3))
                    if self.stale >= options.patience:
                        print(f"no gain on dev in {self.stale} looks: stopping")
                        break
        print(f"best dev nDCG@10 {self.best:.4f}; weights in {options.out}")

    def _gradients(self, lesson: list[Group], loss_of: Callable[[PairModel, Group], Tensor]) -> float:
        """Leave the mean loss's gradient on the model and return that loss; one thread per replica."""
        waiting: SimpleQueue[Group | None] = SimpleQueue()
        for group in sorted(lesson, key=lambda group: -sum(len(ids) for ids, _ in group.rows)):
            waiting.put(group)
        for _ in self._replicas:
            waiting.put(None)

        def work(replica: PairModel) -> float:
            total = 0.0
            while (group := waiting.get()) is not None:
                part = loss_of(replica, group) / len(lesson)
                part.backward()  # type: ignore[no-untyped-call]
                total += float(part.detach())
            return total

        losses = list(self._workers.map(work, self._replicas))
        for replica in self._replicas[1:]:
            for mine, theirs in zip(self.model.parameters(), replica.parameters(), strict=True):
                if theirs.grad is not None:
                    mine.grad = theirs.grad if mine.grad is None else mine.grad + theirs.grad
                    theirs.grad = None
        return sum(losses)

    def _progress(self) -> float:
        """How much of the budget is spent, in pairs or in minutes, whichever is the larger share."""
        return max(self.pairs / self.options.pairs, self.seconds / 60 / self.options.minutes)

    def _update(self, progress: float, warm_up: int = 30) -> None:
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

    def _look(self, values: dict[str, float], loss: float | None) -> None:
        """Note the figures, and keep the weights if their mean is the best so far."""
        mean = sum(values.values()) / len(values)
        rounded = {name: round(value, 4) for name, value in values.items()}
        row = {"pairs": self.pairs, "minutes": round(self.seconds / 60, 1), "loss": loss, "dev_ndcg10": rounded}
        self.history.append(row)
        print(json.dumps(row), flush=True)
        self.stale = 0 if mean > self.best else self.stale + 1
        if mean > self.best:
            self.best = mean
            self._keep(values)
        self.options.out.mkdir(parents=True, exist_ok=True)
        torch.save(self._state(), self.options.out / "resume.pt")

    def _keep(self, values: dict[str, float]) -> None:
        """The weights, named as those they came from, in fp16, with what led to them."""
        state = {name: value.detach().float().contiguous() for name, value in self.model.state_dict().items()}
        trained = [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]
        state.update({name: master.detach().clone() for name, master in zip(trained, self.masters, strict=True)})
        state[WORDS] = self._words.clone()
        folder = self.options.out
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.half() for name, value in state.items()}, folder / "model.safetensors")
        config = self.model.bert.config.to_dict() | {"_name_or_path": folder.name}
        (folder / "config.json").write_text(json.dumps(config, indent=2, default=str) + "\n", encoding="utf-8")
        settings = {key: value for key, value in vars(self.options).items() if not isinstance(value, Path)}
        report = settings | {"kept": values, "history": self.history}
        (folder / "training.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

    def _state(self) -> dict[str, object]:
        kept = ("pairs", "step_count", "seconds", "best", "stale", "history")
        return {"masters": self.masters, "optimizer": self.optimizer.state_dict()} | {k: getattr(self, k) for k in kept}

    def _load(self, state: dict[str, object]) -> None:
        self.optimizer.load_state_dict(state.pop("optimizer"))  # type: ignore[arg-type]
        for master, parameter, value in zip(self.masters, self.parameters, state.pop("masters"), strict=True):  # type: ignore[call-overload]
            master.copy_(value)
            parameter.data.copy_(value)
        for name, value in state.items():
            setattr(self, name, value)


def share(model: PairModel) -> PairModel:
    """Another model over the very same weights, with gradients of its own."""
    replica = deepcopy(model)
    for mine, theirs in zip(model.parameters(), replica.parameters(), strict=True):
        theirs.data = mine.data
    return replica
