"""A cross-encoder in fp32 and in precisions of `cascaderank export`, a folder each, beside each other.

python models/recipes/precisions.py OUT                                    # fp32, int8, int8-static
python models/recipes/precisions.py OUT --weights checkpoints/large --precision int8-static --reduce-range
cascaderank precision OUT/fp32 --data beir/scifact --split train           # what each is worth on a machine

The pair head is no class of transformers, which `cascaderank export` reads; everything after the fp32 graph is the
exporter's own: its parity gate against torch, its conversions, its manifest.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cascaderank.export import PRECISIONS, check_parity, gate, golden_table, parity_table
from cascaderank.export.convert import Judged, convert_folder, making_for
from cascaderank.export.exact import fp32_precision
from cascaderank.export.graph import EXTERNAL_OVER
from cascaderank.export.parity import batch_invariant
from cascaderank.export.tables import with_range
from exporting.graph import to_onnx
from exporting.manifest import PAIR_INPUT, write_folder
from exporting.pair_head import load_pair_model
from exporting.shipped import MAX_LENGTH
from texts.data import read_collection
from texts.pairs import INPUTS, PairEncoder, feed, shared_tokenizer

CALIBRATION = 64


class TorchPairs:
    """What the parity gate compares with: the torch model, one pair a run."""

    def __init__(self, model: Any) -> None:
        self.label = f"torch {torch.__version__.split('+')[0]} fp32"
        tokenizer = shared_tokenizer()
        tokenizer.encode_special_tokens = True  # "[SEP]" in a text is characters, as for the engine
        self._model, self._encoder = model, PairEncoder(tokenizer, MAX_LENGTH)

    def logits(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """float32 [pairs]."""
        found = []
        with torch.inference_mode():
            for pair in pairs:
                arrays = feed([self._encoder.pair(*pair)])
                found.append(float(self._model(*(torch.from_numpy(arrays[name]) for name in INPUTS))))
        return np.array(found, np.float32)

    def vectors(self, texts: Sequence[str], side: str) -> list[np.ndarray]:
        """A cross-encoder has none."""
        raise NotImplementedError


def training_pairs(data: Path, folder: Path) -> Path:
    """A file of graded-lists' training pairs to calibrate with, one document of each query."""
    lists = read_collection(data, "graded-lists", "train")
    rows = [
        {"query": lists.queries[query], "text": lists.documents[next(iter(lists.qrels[query]))]}
        for query in lists.sample(CALIBRATION, 1)
    ]
    file = folder / "graded-lists-train.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file


def main() -> None:
    """The command line."""
    shared = Path(__file__).resolve().parents[3] / "shared"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the folders; each must not exist")
    parser.add_argument("--weights", type=Path, default=shared / "models" / "ce6", help="config.json and weights")
    parser.add_argument("--data", type=Path, default=shared / "data", help="folder of the collections, to calibrate")
    parser.add_argument("--precision", nargs="+", choices=list(PRECISIONS), default=["int8", "int8-static"])
    parser.add_argument("--reduce-range", action="store_true", help="int8 with 7-bit weights too, as int8-reduced")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_pair_model(options.weights)
    reference, fp32 = TorchPairs(model), options.out / "fp32"
    fp32.mkdir(parents=True)
    to_onnx(model, fp32 / "model.onnx", "logits", {0: "batch"})
    tables: dict[str, Any] = {
        "kind": "cross_encoder",
        "name": options.weights.resolve().name,
        "max_length": MAX_LENGTH,
        "vocab_size": model.bert.config.vocab_size,
        "source": {
            "model": options.weights.resolve().name, "recipe": "models/recipes/precisions.py", "licence": "Apache-2.0",
            "data": [],
        },
        "input": PAIR_INPUT,
        "output": {"name": "logits", "columns": 1, "score": "none"},
    }  # fmt: skip
    write_folder(fp32, shared_tokenizer(), {**tables, "precision": fp32_precision(True)})
    parity = check_parity(fp32, reference)
    gate(parity, fp32)
    tables = with_range(tables, parity)
    exact = fp32_precision(batch_invariant(parity.batch_max_abs_diff, parity.score_range))
    golden = golden_table(fp32, reference, tolerance=parity.tolerance)
    finished = {**tables, "precision": exact, "parity": parity_table(parity), "golden": golden}
    write_folder(fp32, shared_tokenizer(), finished)
    print(f"{fp32}: {parity.summary()}", flush=True)
    wanted = [(name, name, False) for name in options.precision]
    wanted += [("int8", "int8-reduced", True)] if options.reduce_range else []
    with tempfile.TemporaryDirectory() as scratch:
        file = training_pairs(options.data, Path(scratch))
        for name, called, reduce_range in wanted:
            folder = options.out / called
            folder.mkdir()
            making = making_for(
                name, fp32, Judged(), reduce_range=reduce_range, quantize_embeddings=False, external_over=EXTERNAL_OVER,
                calibration=file if PRECISIONS[name].calibrated else None,
            )  # fmt: skip
            change = convert_folder(fp32, folder, name, making, tables, parity, Judged())
            print("\n  ".join([f"{folder}:", *change.lines()]), flush=True)


if __name__ == "__main__":
    main()
