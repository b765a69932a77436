"""Train the small cross-encoder: three layers of the large one, narrowed, taught by it. Resumable; one command:

    python models/recipes/train_small.py --data ../shared/data --weights models/recipes/checkpoints/large

Every pair is read by teacher and student. Three losses: the groups' grades, as the large model's; the teacher's
distribution over the group; the teacher's last hidden states. `curriculum.py` says what on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from exporting.pair_head import load_pair_model
from training.curriculum import Curriculum
from training.lessons import Weights, group_loss
from training.precision import training_dtype
from training.student import as_shipped, fit_last_norm, make_student
from training.teacher import Again, Teacher
from training.trainer import WORDS, Trainer, arguments


def main() -> None:
    """Train, or go on where a run with the same --out stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parent
    parser.add_argument("--weights", type=Path, default=here / "checkpoints" / "large", help="the large model")
    parser.add_argument("--start", type=Path, help="a small model to train further, instead of layers of the large one")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 1, 2], help="layers of the large model to keep")
    parser.add_argument("--heads", type=int, default=6, help="attention heads of a layer")
    parser.add_argument("--neurons", type=int, default=768, help="feed-forward neurons of a layer")
    parser.add_argument("--states", type=float, default=2.0, help="weight of the hidden states' loss")
    parser.add_argument("--teacher", type=float, default=0.25, help="weight of the teacher's distribution")
    parser.add_argument("--prior", type=float, default=0.5, help="share of BM25 and bi-encoder in what is taught")
    parser.add_argument("--again", type=int, default=1, help="how many remembered steps follow each new one")
    options = arguments(parser, out="small", pairs=45_000, rate=1.5e-4, head_rate=3e-4)
    curriculum = Curriculum(options, taught=True)
    examples = curriculum.examples()
    teacher = load_pair_model(options.weights)
    words = teacher.state_dict()[WORDS].clone()
    if options.start:
        student = as_shipped(load_pair_model(options.start))
    else:
        student = as_shipped(make_student(options.weights, options.layers, options.heads, options.neurons, examples))
        fit_last_norm(student, teacher, examples)
    for model in (student, teacher):
        model.bert.to(training_dtype())
    trainer = Trainer(student, options, words)
    curriculum.start(trainer.pairs)
    weights = Weights(options.teacher, options.states, options.prior)
    knows, steps = Teacher(teacher), Again(curriculum.groups, options.again, options.seed)
    trainer.run(steps.groups, lambda model, group: group_loss(model, group, knows, weights), curriculum.dev)


if __name__ == "__main__":
    main()
