"""Ways to quantise, side by side: size, time, faithfulness, nDCG@10 on dev lists, and what neighbours do to a score.

python models/recipes/quantisation.py                        # the large cross-encoder
python models/recipes/quantisation.py minilm-ce-large minilm-bi --lists 60 --json table.json
python models/recipes/quantisation.py --only static --lists 3 --rounds 10
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from exporting.graph import to_onnx
from exporting.runtime import session
from exporting.shipped import MAX_LENGTH, RECIPES, calibration, load_model, weight_folders
from measuring.agreement import agree, batch_effects, dev_lists, list_scores, time_ratios
from measuring.methods import ways
from speed import processor
from texts.pairs import PairEncoder, shared_tokenizer

TOKENS = (100, 200)
EXACT = "fp32"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table. `ratios` holds, per number of tokens, quartiles of fp32's time over this one's."""

    model: str
    way: str
    megabytes: float
    ratios: dict[int, tuple[float, float, float]]
    max_diff: float
    mean_diff: float
    tau: float
    ndcg_exact: float
    ndcg_loss: float
    ndcg_loss_error: float
    alone_or_batched: float
    other_neighbours: float

    def markdown(self) -> str:
        """The row as the table shows it."""
        times = [f"{middle:.2f} ({low:.2f}-{high:.2f})" for low, middle, high in self.ratios.values()]
        loss = f"{self.ndcg_loss:+.4f} ± {self.ndcg_loss_error:.4f}"
        cells = [
            self.way,
            f"{self.megabytes:.1f}",
            *times,
            f"{self.max_diff:.2g}",
            f"{self.mean_diff:.2g}",
            f"{self.tau:.3f}",
            loss,
            f"{100 * self.ndcg_loss / self.ndcg_exact:+.2f}",
            f"{self.alone_or_batched:.1e}",
            f"{self.other_neighbours:.1e}",
        ]
        return "| " + " | ".join(cells) + " |"


def header() -> str:
    """The table's first two lines."""
    names = ["way", "MB", *(f"fp32 / this, {n} tokens" for n in TOKENS), "max diff", "mean diff", "tau"]
    names += ["nDCG@10 lost", "lost, %", "alone or in a batch of 8", "other neighbours"]
    return "| " + " | ".join(names) + " |\n|" + "---|" * len(names)


def timing_row(tokens: int, cross: bool) -> tuple[list[int], int]:
    """A row of that many random words."""
    words = [int(i) for i in np.random.default_rng(0).integers(1000, 30000, tokens - 3)]
    return ([101, *words[:10], 102, *words[10:], 102], 12) if cross else ([101, *words, words[0], 102], tokens)


def compare(name: str, weights: Path, options: argparse.Namespace) -> list[Line]:
    """Print the table of one model, a row at a time, and return it."""
    recipe = RECIPES[name]
    cross = recipe.kind == "cross_encoder"
    encoder = PairEncoder(shared_tokenizer(), MAX_LENGTH)
    lists = dev_lists(options.data, encoder, cross, options.lists)
    inputs = calibration(options.data, encoder, cross, options.calibration)
    model, output, axes = load_model(recipe, weights)
    print(
        f"\n{name}: {processor()}, ONNX Runtime {onnxruntime.__version__}, one thread; {len(lists)} dev lists "
        f"(graded-lists; nq-qed with BM25's top 16), {len(inputs)} training inputs to calibrate, {options.rounds} "
        f"alternating rounds (median and quartiles)\n\n{header()}"
    )
    table: list[Line] = []
    with tempfile.TemporaryDirectory() as scratch:
        exact_file, changed_file = Path(scratch) / "fp32.onnx", Path(scratch) / "changed.onnx"
        to_onnx(model, exact_file, output, axes)
        exact = session(exact_file)
        expected = list_scores(exact, exact_file, lists, cross, options.cache, f"{name} {EXACT}")
        for way in [None, *ways(options.sensitive)]:
            if way is not None and options.only not in way.name:
                continue
            changed, file, called = exact, exact_file, EXACT
            if way is not None:
                changed_file.unlink(missing_ok=True)
                way.make(exact_file, changed_file, inputs)
                changed, file, called = session(changed_file), changed_file, way.name
            found = agree(lists, expected, list_scores(changed, file, lists, cross, options.cache, f"{name} {called}"))
            ratios = {}
            for tokens in TOKENS:
                quartiles = np.quantile(
                    time_ratios(exact, changed, timing_row(tokens, cross), options.rounds), (0.25, 0.5, 0.75)
                )
                ratios[tokens] = (float(quartiles[0]), float(quartiles[1]), float(quartiles[2]))
            line = Line(
                name,
                called,
                file.stat().st_size / 1e6,
                ratios,
                found.max_diff,
                found.mean_diff,
                found.tau,
                float(found.exact.mean()),
                found.loss,
                found.loss_error,
                *batch_effects(changed, lists, cross),
            )
            table.append(line)
            print(line.markdown(), flush=True)
    return table


def main() -> None:
    """The command line."""
    here = Path(__file__).resolve().parent
    shared = here.parents[2] / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["minilm-ce-large"], help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--large", type=Path, default=here / "checkpoints" / "large", help="what train_large.py wrote")
    parser.add_argument("--small", type=Path, default=here / "checkpoints" / "small", help="what train_small.py wrote")
    parser.add_argument("--data", type=Path, default=shared / "data", help="folder of the collections")
    parser.add_argument("--lists", type=int, default=48, help="dev queries per set")
    parser.add_argument("--calibration", type=int, default=48, help="training inputs to calibrate with")
    parser.add_argument("--rounds", type=int, default=60, help="alternating timed runs per length")
    parser.add_argument("--sensitive", type=int, default=6, help="products that the mixed ways keep in fp32")
    parser.add_argument("--only", default="", help="only ways whose name contains this")
    parser.add_argument("--cache", type=Path, default=here / "cache", help="where scores are kept")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = weight_folders(options.large, options.small)
    if unknown := set(options.names) - set(RECIPES):
        parser.error(f"{', '.join(sorted(unknown))}: expected {', '.join(RECIPES)}")
    table = [line for name in options.names for line in compare(name, weights[name], options)]
    if options.json is not None:
        head = {"processor": processor(), "onnxruntime": onnxruntime.__version__, "rows": [asdict(x) for x in table]}
        options.json.write_text(json.dumps(head, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
