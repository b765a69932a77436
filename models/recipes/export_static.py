"""Write the static encoder's folder: token table -> fp32 and int8 lookup -> parity gate -> measured loss -> manifest.

python models/recipes/export_static.py
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import embedding

from exporting.manifest import TEXT_INPUT, write_folder
from exporting.parity import check_parity, parity_rows
from exporting.runtime import session
from exporting.shipped import MAX_LENGTH, MINED
from exporting.static_graph import write_static
from exporting.tables import quantise_table
from measuring.agreement import int8_loss
from texts.pairs import PairEncoder, shared_tokenizer

NAME = "minilm-static"


class Lookup(nn.Module):
    """The token table as a module, for the parity gate."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, input_ids: Tensor, _attention_mask: Tensor, _token_type_ids: Tensor) -> Tensor:
        """int64 [batch, length] -> float32 [batch, length, size]."""
        return embedding(input_ids, self.table)


def attended_states(output: np.ndarray, attended: np.ndarray) -> np.ndarray:
    """What parity compares."""
    return output[attended.astype(bool)]


def main() -> None:
    """The command line."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=here.parents[2] / "shared" / "data", help="folder of the collections"
    )
    parser.add_argument(
        "--weights", type=Path, default=here / "checkpoints" / "static", help="what train_static.py wrote"
    )
    parser.add_argument(
        "--out", type=Path, default=here / "checkpoints" / "folders", help="not shipped: see ../README.md"
    )
    parser.add_argument("--cache", type=Path, default=here / "cache", help="where scores are kept")
    parser.add_argument("--lists", type=int, default=24, help="dev queries per set for the int8 comparison")
    options = parser.parse_args()
    table = load_file(options.weights / "model.safetensors")["table"].float()
    kept = json.loads((options.weights / "training.json").read_text(encoding="utf-8"))["kept"]
    tokenizer, folder = shared_tokenizer(), options.out / NAME
    encoder = PairEncoder(tokenizer, MAX_LENGTH)
    with tempfile.TemporaryDirectory() as temporary:
        exact_file, small_file = Path(temporary) / "fp32.onnx", Path(temporary) / "model.onnx"
        write_static(table.numpy(), quantise_table(table.numpy()), exact_file, small_file)
        rows = parity_rows(options.data, encoder, False)
        parity = check_parity(Lookup(table).eval(), session(exact_file), rows, attended_states)
        parity |= int8_loss(NAME, False, exact_file, small_file, encoder, options.data, options.lists, options.cache)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.toml").unlink(missing_ok=True)
        shutil.move(small_file, folder / "model.onnx")
    inputs = {key: value for key, value in TEXT_INPUT.items() if key != "segments"}
    write_folder(
        folder,
        tokenizer,
        {
            "kind": "bi_encoder",
            "name": NAME,
            "max_length": MAX_LENGTH,
            "vocab_size": len(table),
            "source": {
                "model": "one vector per token, distilled from minilm-bi",
                "recipe": "models/recipes/train_static.py, then models/recipes/export_static.py",
                "licence": "Apache-2.0",
                "data": [*MINED, "graded-lists", "passages of Python's standard library documentation"],
            },
            "input": inputs | {"names": {"input_ids": "input_ids"}},
            "output": {"name": "last_hidden_state", "dimension": table.shape[1], "pooling": "mean", "normalize": True},
            "precision": {
                "weights": "int8",
                "layout": "padded",
                "batch_invariant": True,
                "method": "token vectors in 8 bits, a scale per row",
            },
            "parity": parity,
            "quality": {"recall100_of_1000_dev": {k: v for k, v in kept.items() if isinstance(v, dict)}},
        },
    )
    print(f"{folder}: {parity}")


if __name__ == "__main__":
    main()
