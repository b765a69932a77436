"""Train the large cross-encoder from weights with a pair head. Resumable; one command:

    python models/recipes/train_large.py --data ../shared/data --weights ../shared/models/ce6

Listwise: for each passage of grade g > 0 its softmax against the passages of lower grade, weighted (2^g - 1) / 7. Rows
are cut at 256 tokens, twice what the starting weights were trained at. `curriculum.py` says what on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from exporting.pair_head import load_pair_model
from training.curriculum import Curriculum
from training.lessons import Weights, group_loss
from training.precision import training_dtype
from training.trainer import WORDS, Trainer, arguments


def main() -> None:
    """Train, or go on where a run with the same --out stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(__file__).resolve().parents[3] / "shared"
    parser.add_argument("--weights", type=Path, default=shared / "models" / "ce6", help="what to start from")
    options = arguments(parser, out="large", pairs=70_000, rate=4e-5, head_rate=4e-4)
    curriculum = Curriculum(options)
    model = load_pair_model(options.weights)
    words = model.state_dict()[WORDS].clone()
    model.bert.embeddings.requires_grad_(False)
    model.bert.to(training_dtype())
    trainer = Trainer(model, options, words)
    curriculum.start(trainer.pairs)
    trainer.run(curriculum.groups, lambda model, group: group_loss(model, group, None, Weights()), curriculum.dev)


if __name__ == "__main__":
    main()
