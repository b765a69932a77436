"""fp32 torch weights of the shipped cross-encoders, from their int8 files: what training and measuring start from.

    python models/recipes/recover.py            # checkpoints/large and checkpoints/small

Prints how far the int8 graph's logits are from those of the weights it gave: what quantised activations do. A folder
that has weights already is left alone, as these have seen rounding that those of a training run have not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from exporting.pair_head import load_pair_model
from exporting.parity import batches, onnx_outputs, parity_rows, torch_outputs
from exporting.recovered import recover_folder
from exporting.runtime import session
from measuring.measures import kendall_tau
from texts.pairs import PairEncoder, clean_tokenizer


def main() -> None:
    """The command line."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=here.parents[2] / "shared" / "data", help="texts to compare on")
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument("--out", type=Path, default=here / "checkpoints")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in ("large", "small"):
        shipped, out = options.models / f"minilm-ce-{name}", options.out / name
        if (out / "model.safetensors").is_file():
            print(f"{out} has weights; left as they are")
            continue
        recover_folder(shipped, out)
        rows = parity_rows(options.data, PairEncoder(clean_tokenizer(shipped / "tokenizer.json")), pairs=True)
        inputs = batches(rows, 1)
        theirs = np.concatenate(onnx_outputs(session(shipped / "model.onnx"), inputs))[:, 0]
        mine = np.concatenate(torch_outputs(load_pair_model(out), inputs))[:, 0]
        apart = np.abs(mine - theirs)
        print(
            f"{out}: {len(rows)} pairs, int8 logits {theirs.min():.1f} to {theirs.max():.1f}; differences mean "
            f"{apart.mean():.3f}, largest {apart.max():.3f}, Kendall's tau {kendall_tau(mine, theirs):.3f}"
        )


if __name__ == "__main__":
    main()
