"""Write the shipped model folders: torch -> fp32 ONNX -> parity gate -> int8 -> measured loss -> manifest.

python models/recipes/export.py                      # all three
python models/recipes/export.py minilm-ce-small
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cascaderank.export import golden_table
from cascaderank.export.quantize import DEFAULT
from exporting.graph import POSITIONS, WORDS, quantise, to_onnx
from exporting.manifest import PAIR_INPUT, TEXT_INPUT, write_folder
from exporting.parity import batches, check_parity, onnx_outputs, parity_rows
from exporting.runtime import session
from exporting.shipped import MAX_LENGTH, RECIPES, Recipe, calibration, load_model, weight_folders
from exporting.tables import quantise_table
from measuring.agreement import int8_loss
from texts.pairs import PairEncoder, shared_tokenizer


def read(recipe: Recipe, output: np.ndarray, attended: np.ndarray) -> np.ndarray:
    """What parity compares: logits, or the states of the attended tokens."""
    return output if recipe.kind == "cross_encoder" else output[attended.astype(bool)]


def training_report(weights: Path) -> dict[str, dict[str, Any]]:
    """What the training command wrote about the weights it kept, as the manifest's `[quality]`."""
    if not (weights / "training.json").is_file():
        return {}
    report = json.loads((weights / "training.json").read_text(encoding="utf-8"))
    kept = {f"{name} dev": round(value, 4) for name, value in report["kept"].items()}
    return {"quality": {"ndcg10_while_training": kept, "pairs_trained_on": report["history"][-1]["pairs"]}}


def export(recipe: Recipe, weights: Path, options: argparse.Namespace) -> None:
    """One folder, from torch weights to the manifest; nothing is left behind when the gate refuses."""
    cross = recipe.kind == "cross_encoder"
    model, output, axes = load_model(recipe, weights)
    state, size = model.state_dict(), model.bert.config.hidden_size
    quantised = {
        WORDS: quantise_table(state[WORDS].numpy()),
        POSITIONS: quantise_table(state[POSITIONS].numpy()),
    }
    tokenizer = shared_tokenizer()
    encoder = PairEncoder(tokenizer, MAX_LENGTH)
    folder = options.out / recipe.name
    with tempfile.TemporaryDirectory() as temporary:
        exact_file, small_file = Path(temporary) / "fp32.onnx", Path(temporary) / "model.onnx"
        to_onnx(model, exact_file, output, axes)
        exact = session(exact_file)
        rows = parity_rows(options.data, encoder, cross)
        parity = check_parity(model, exact, rows, lambda result, attended: read(recipe, result, attended))
        quantise(exact_file, small_file, quantised, calibration(options.data, encoder, cross))
        small = session(small_file)
        parity |= int8_loss(
            recipe.name, cross, exact_file, small_file, encoder, options.data, options.lists, options.cache
        )
        if cross:
            scores = np.concatenate(onnx_outputs(small, batches(rows, 1)))
            described: dict[str, Any] = {"columns": 1, "score": "none"}
            described["range"] = [round(float(scores.min()), 2), round(float(scores.max()), 2)]
        else:
            described = {"dimension": size, "pooling": "mean", "normalize": True}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.toml").unlink(missing_ok=True)
        shutil.move(small_file, folder / "model.onnx")
    tables: dict[str, Any] = {
        "kind": recipe.kind,
        "name": recipe.name,
        "max_length": MAX_LENGTH,
        "vocab_size": len(quantised[WORDS].codes),
        "source": {"model": recipe.made_from, "recipe": recipe.steps, "licence": "Apache-2.0", "data": recipe.data},
        "input": PAIR_INPUT if cross else TEXT_INPUT,
        "output": {"name": output, **described},
        "precision": {
            "weights": "int8",
            "layout": "padded",
            "batch_invariant": False,
            "method": f"{DEFAULT.words(True)}; embeddings in 8 bits",
        },
        "parity": parity,
        **training_report(weights),
    }
    write_folder(folder, tokenizer, tables)
    golden = golden_table(folder, tolerance=parity["int8_max_abs_diff"])
    write_folder(folder, tokenizer, {**tables, "golden": golden})
    print(f"{folder}: {parity}")


def main() -> None:
    """The command line."""
    here = Path(__file__).resolve().parent
    shared = here.parents[2] / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(RECIPES), help="models to write, all by default")
    parser.add_argument("--data", type=Path, default=shared / "data", help="folder of the collections")
    parser.add_argument("--large", type=Path, default=here / "checkpoints" / "large", help="what train_large.py wrote")
    parser.add_argument("--small", type=Path, default=here / "checkpoints" / "small", help="what train_small.py wrote")
    parser.add_argument("--out", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument("--cache", type=Path, default=here / "cache", help="where scores are kept")
    parser.add_argument("--lists", type=int, default=24, help="dev queries per set for the int8 comparison")
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = weight_folders(options.large, options.small)
    for name in options.names:
        export(RECIPES[name], weights[name], options)


if __name__ == "__main__":
    main()
