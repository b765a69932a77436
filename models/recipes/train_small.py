"""Train the small cross-encoder: three layers of the large one, narrowed, taught by it. Resumable; one command:

    python models/recipes/train_small.py --data ../shared/data --weights models/recipes/checkpoints/large

Every pair is read by teacher and student. Three losses: the groups' grades, as the large model's; the teacher's
distribution over the group; the teacher's last hidden states. `curriculum.py` says what on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from exporting.pair_head import load_pair_model
from training.curriculum import Curriculum
from training.lessons import Weights, group_loss
from training.student import fit_last_norm, make_student
from training.trainer import WORDS, Trainer, arguments


def main() -> None:
    """Train, or go on where a run with the same --out stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parent
    parser.add_argument("--weights", type=Path, default=here / "checkpoints" / "large", help="the large model")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2], help="layers of the large model to keep")
    parser.add_argument("--heads", type=int, default=6, help="attention heads of a layer")
    parser.add_argument("--neurons", type=int, default=768, help="feed-forward neurons of a layer")
    parser.add_argument("--states", type=float, default=2.0, help="weight of the hidden states' loss")
    parser.add_argument("--teacher", type=float, default=0.25, help="weight of the teacher's distribution")
    parser.add_argument("--prior", type=float, default=0.5, help="share of BM25 and bi-encoder in what is taught")
    options = arguments(parser, out="small", pairs=45_000, rate=1.5e-4, head_rate=3e-4)
    curriculum = Curriculum(options, taught=True)
    examples = curriculum.examples()
    student = make_student(options.weights, options.layers, options.heads, options.neurons, examples)
    teacher = load_pair_model(options.weights)
    words = teacher.state_dict()[WORDS].clone()
    teacher.bert.to(torch.bfloat16)
    fit_last_norm(student, teacher, examples)
    trainer = Trainer(student, options, words)
    curriculum.start(trainer.pairs)
    weights = Weights(options.teacher, options.states, options.prior)
    trainer.run(curriculum.groups, lambda model, group: group_loss(model, group, teacher, weights), curriculum.dev)


if __name__ == "__main__":
    main()
