"""Every shipped model beside its fp32 graph and beside the large one: a row a run, one thread, alternating.

python models/recipes/speed.py
python models/recipes/speed.py --saturation    # what processors without VNNI would do to int8 scores
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime import InferenceSession

from exporting.graph import to_onnx
from exporting.parity import batches, onnx_outputs, parity_rows
from exporting.runtime import session
from exporting.shipped import RECIPES, load_model, weight_folders
from measuring.measures import kendall_tau
from texts.pairs import PairEncoder, clean_tokenizer, feed

LARGE = "minilm-ce-large"


def processor() -> str:
    """The processor's name as the system gives it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def alternate(sessions: Sequence[InferenceSession], inputs: dict[str, np.ndarray], rounds: int) -> np.ndarray:
    """float64 milliseconds [rounds, sessions]; five rounds before them are not counted."""
    names = [[given.name for given in runner.get_inputs()] for runner in sessions]
    times = np.zeros((rounds + 5, len(sessions)))
    for turn in times:
        for column, runner in enumerate(sessions):
            given = {name: inputs[name] for name in names[column]}
            start = time.perf_counter()
            runner.run(None, given)
            turn[column] = time.perf_counter() - start
    return times[5:] * 1e3


def main() -> None:
    """Print a row per model and length."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", type=Path, default=here / "checkpoints" / "large", help="what train_large.py wrote")
    parser.add_argument("--small", type=Path, default=here / "checkpoints" / "small", help="what train_small.py wrote")
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--data", type=Path, default=here.parents[2] / "shared" / "data", help="texts of --saturation")
    parser.add_argument("--saturation", action="store_true", help="int8 with and without exact products instead")
    options = parser.parse_args()
    if options.saturation:
        print_saturation(options)
        return
    sources = weight_folders(options.large, options.small)
    files = {name: options.models / name / "model.onnx" for name in RECIPES}
    with tempfile.TemporaryDirectory() as temporary:
        sessions = {name: session(file) for name, file in files.items()}
        exact = {}
        for name, recipe in RECIPES.items():
            model, output, axes = load_model(recipe, sources[name])
            to_onnx(model, Path(temporary) / f"{name}.onnx", output, axes)
            exact[name] = session(Path(temporary) / f"{name}.onnx")
        print(
            f"{processor()}, ONNX Runtime {onnxruntime.__version__}, one thread, {options.rounds} alternating rounds; "
            "medians, ratios with quartiles\n\n| model | MB | tokens | ms | fp32 / int8 | of the large one's time |\n"
            "|---|---|---|---|---|---|"
        )
        rng = np.random.default_rng(0)
        for tokens in options.tokens:
            query, document = ([int(i) for i in rng.integers(1000, 30000, n)] for n in (10, tokens - 13))
            inputs = feed([([101, *query, 102, *document, 102], len(query) + 2)])
            runners = {**sessions, **{f"{name} fp32": runner for name, runner in exact.items()}}
            times = dict(zip(runners, alternate(list(runners.values()), inputs, options.rounds).T, strict=True))
            for name, file in files.items():
                cells = [name, f"{file.stat().st_size / 1e6:.1f}", str(tokens), f"{np.median(times[name]):.2f}"]
                cells += [quartiles(times[f"{name} fp32"] / times[name]), quartiles(times[name] / times[LARGE])]
                print(f"| {' | '.join(cells)} |")


def print_saturation(options: argparse.Namespace) -> None:
    """A row per cross-encoder: what its logits and its time are with products that may saturate beside exact ones."""
    titles = ("model", "pairs", "mean diff", "max diff", "Kendall's tau", "time, exact / saturating")
    print(
        f"{processor()}, ONNX Runtime {onnxruntime.__version__}, one thread, {options.rounds} alternating rounds of "
        f"128 tokens\n\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|"
    )
    for name in (recipe.name for recipe in RECIPES.values() if recipe.kind == "cross_encoder"):
        folder = options.models / name
        rows = parity_rows(options.data, PairEncoder(clean_tokenizer(folder / "tokenizer.json")), pairs=True)
        runners = [session(folder / "model.onnx", saturating) for saturating in (False, True)]
        exact, other = (np.concatenate(onnx_outputs(runner, batches(rows, 1)))[:, 0] for runner in runners)
        words = np.random.default_rng(0).integers(1000, 30000, 124).tolist()
        times = alternate(runners, feed([([101, *words[:10], 102, *words[10:], 102], 12)]), options.rounds)
        cells = [len(rows), f"{np.abs(exact - other).mean():.3f}", f"{np.abs(exact - other).max():.2f}"]
        cells += [f"{kendall_tau(exact, other):.3f}", quartiles(times[:, 0] / times[:, 1])]
        print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)


def quartiles(ratios: np.ndarray) -> str:
    """Median (lower quartile-upper quartile)."""
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return f"{middle:.3f} ({low:.3f}-{high:.3f})" if middle < 1 else f"{middle:.2f} ({low:.2f}-{high:.2f})"


if __name__ == "__main__":
    main()
