"""Train the small cross-encoder: the first layers of the large one, taught by it. Resumable; one command:

    python models/recipes/train_small.py --data ../shared/data --weights ../shared/models/ce6

Every pair is read by teacher and student. Three losses: the graded lists' grades (for each passage of grade g > 0 its
softmax against the passages of lower grade, weighted (2^g - 1) / 7), the teacher's distribution over the list, and the
teacher's last hidden states. A quarter of the lists are a training question with BM25 candidates at full length,
where only the teacher speaks, since unlabelled passages may answer too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from data import read_collection
from lessons import dev_ndcg, graded_groups, group_loss, long_groups
from pair_head import load_pair_model
from pairs import PairEncoder, clean_tokenizer
from rich.progress import Progress
from student import Trainer, fit_last_norm, make_student, save

LONG = ("nq-qed", "medquad", "scifact", "boolq-dev", "pubmedqa")  # train splits whose licence allows it


def arguments() -> argparse.Namespace:
    """The command line."""
    here = Path(__file__).resolve().parent
    shared = here.parents[2] / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=shared / "data", help="folder of the collections")
    parser.add_argument("--weights", type=Path, default=shared / "models" / "ce6", help="folder of the large model")
    parser.add_argument("--out", type=Path, default=here / "checkpoints" / "small")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--bits", type=int, default=4, help="bits of a word embedding")
    parser.add_argument("--block", type=int, default=32, help="embedding weights that share a scale")
    parser.add_argument("--pairs", type=int, default=55_000, help="pairs to train on; the rate falls to 0 with them")
    parser.add_argument("--minutes", type=float, default=1e9, help="end earlier: whichever comes first")
    parser.add_argument("--rate", type=float, default=1.5e-4)
    parser.add_argument("--head-rate", type=float, default=3e-4)
    parser.add_argument("--states", type=float, default=2.0, help="weight of the hidden states' loss")
    parser.add_argument("--teacher", type=float, default=0.25, help="weight of the teacher's distribution")
    parser.add_argument("--dev-lists", type=int, default=64)
    parser.add_argument("--every", type=int, default=4000, help="pairs between two looks at dev")
    parser.add_argument("--patience", type=int, default=4, help="looks at dev without a gain before stopping")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Train, or go on where a run with the same --out stopped."""
    options = arguments()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    encoder = PairEncoder(clean_tokenizer(options.weights / "tokenizer.json"))
    teacher = load_pair_model(options.weights)
    teacher.bert.to(torch.bfloat16)
    student = make_student(options.weights, options.layers, options.bits, options.block)
    words = student.bert.embeddings.word_embeddings.weight.detach().float()
    lists = read_collection(options.data, "graded-lists", "dev")
    names = lists.sample(options.dev_lists)
    train = read_collection(options.data, "graded-lists", "train")
    first = graded_groups(train, encoder, 12, np.random.default_rng([options.seed, 1]))
    fit_last_norm(student, teacher, [next(first) for _ in range(16)])
    trainer = Trainer(student, options)
    if (options.out / "resume.pt").is_file():
        trainer.load(torch.load(options.out / "resume.pt", weights_only=True))
        print(f"going on at {trainer.pairs} pairs, best dev nDCG@10 {trainer.best:.4f}")
    # A resumed run draws other groups than the ones before the stop, not the same ones again.
    graded = graded_groups(train, encoder, 12, np.random.default_rng([options.seed, 2, trainer.pairs]))
    collections = [read_collection(options.data, name, "train") for name in LONG]
    long = long_groups(collections, encoder, np.random.default_rng([options.seed, 3, trainer.pairs]))

    def look(loss: float | None) -> bool:
        """Measure dev, keep the weights if they are the best so far; whether they are."""
        value = dev_ndcg(student, lists, names, encoder)
        minutes = round(trainer.seconds / 60, 1)
        row = {"pairs": trainer.pairs, "minutes": minutes, "loss": loss, "dev_ndcg10": round(value, 4)}
        trainer.history.append(row)
        print(json.dumps(row), flush=True)
        if better := value > trainer.best:
            trainer.best = value
            settings = {k: v for k, v in vars(options).items() if not isinstance(v, Path)}
            save(student, trainer.masters, options.out, words, settings | {"history": trainer.history})
        torch.save(trainer.state(), options.out / "resume.pt")
        return better

    if not trainer.history:
        look(None)
    stale, next_look = 0, trainer.pairs + options.every
    started, before = time.time(), trainer.seconds
    with Progress(disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("training", total=options.pairs, completed=trainer.pairs)
        progress = trainer.progress(options)
        while progress < 1:
            loss = 0.0
            groups = [next(graded), next(graded), next(graded), next(long)]
            for group in groups:
                part = group_loss(student, teacher, group, options) / len(groups)
                part.backward()  # type: ignore[no-untyped-call]
                loss += float(part.detach())
            trainer.step(progress)
            trainer.pairs += sum(len(group.rows) for group in groups)
            trainer.seconds = before + time.time() - started
            bar.update(task, completed=trainer.pairs)
            progress = trainer.progress(options)
            if trainer.pairs >= next_look or progress >= 1:
                next_look += options.every
                stale = 0 if look(round(loss, 3)) else stale + 1
                if stale >= options.patience:
                    print(f"no gain on dev in {stale} looks: stopping")
                    break
    print(f"best dev nDCG@10 {trainer.best:.4f}; weights in {options.out}")


if __name__ == "__main__":
    main()
