"""``cascaderank export``: a Hugging Face model in, a model folder out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cascaderank.cli.arguments import add_command, positive_integer, positive_number
from cascaderank.config import PRECISIONS

_TEXT = """\
Make a model folder (model.onnx, tokenizer.json, model.toml) from a Hugging Face model folder or name.

The folder is written only if it scores at least 64 varied pairs as the original does in torch. What is not given is
read from the model's own files. Precisions: fp16 (for GPUs), int8 (products in int8, for CPUs), int8-static (the same
with constant scales: a score does not depend on its neighbours), int8-block and int4-block (weights alone, a scale per
block of 32, for large models). Each is measured beside fp32: differences, order, speed on this machine and, with
--data, nDCG@10. Needs the export extra: pip install 'cascaderank[export]'.
"""
_EXAMPLES = """\
  cascaderank export ./my-finetuned-reranker models/my-reranker
  cascaderank export cross-encoder/ms-marco-MiniLM-L6-v2 models/msmarco --precision int8
  cascaderank export intfloat/e5-small-v2 models/e5 --query-prefix "query: " --document-prefix "passage: "
  cascaderank export ./reranker models/r8 --precision int8 --data beir/scifact --split test
"""
_NOT_PASSED = frozenset({"run", "command", "version", "model", "out", "tolerance", "max_ndcg_loss"})


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "export", "make a model folder from a Hugging Face model", _TEXT, _EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="a folder, or a name in the local cache or on the hub")
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write; must not exist, or be empty")
    parser.add_argument("--kind", choices=("cross_encoder", "bi_encoder", "late_interaction", "decoder"))
    made = [name for name in PRECISIONS if name != "bf16"]  # which OpenVINO makes of an fp32 folder while it runs
    parser.add_argument("--precision", choices=made, default="fp32", help="default: fp32")
    parser.add_argument("--max-length", type=positive_integer, metavar="TOKENS", help="window of one input row")
    parser.add_argument(
        "--score", choices=("none", "sigmoid", "softmax[1]", "yes-no"), help="how a logit becomes the shown score"
    )
    parser.add_argument("--pooling", choices=("mean", "cls", "last_token"))
    parser.add_argument(
        "--normalize", action=argparse.BooleanOptionalAction, default=None, help="scale vectors to length 1"
    )
    parser.add_argument("--query-prefix", metavar="TEXT", help='put before every query, such as "query: "')
    parser.add_argument("--document-prefix", metavar="TEXT", help="put before every document")
    parser.add_argument(
        "--template",
        metavar="NAME|FILE",
        help="what a decoder is asked: qwen3-reranker, mxbai-rerank-v2, bge-reranker-v2-gemma, zerank, monot5, a file",
    )
    parser.add_argument("--name", help="the model's name in traces and errors; default: OUT's")
    parser.add_argument("--licence", help="where the model names none, such as Apache-2.0")
    parser.add_argument("--recipe", help="the command that repeats this; default: this one")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="BEIR folder: measure nDCG@10 in fp32 and in --precision; its train split calibrates",
    )
    parser.add_argument("--split", default="dev", help="of --data; default: dev")
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help='JSON lines {"query": ..., "text": ...}: typical pairs, in place of --data\'s train split',
    )
    parser.add_argument(
        "--max-ndcg-loss",
        type=positive_number,
        metavar="SHARE",
        help="refuse a loss of nDCG@10 on --data that is above this share of fp32's beyond its noise; default: 0.01",
    )
    parser.add_argument("--reduce-range", action="store_true", help="with int8: 7-bit weights, faster without VNNI")
    parser.add_argument(
        "--quantize-embeddings", action="store_true", help="with int8 and int4-block: embedding tables too"
    )
    parser.add_argument(
        "--tolerance", type=positive_number, metavar="D", help="largest difference of a logit; default: 1e-4"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cascaderank.cli.terminal import steps
    from cascaderank.export import MAX_LOSS, TOLERANCE, export_model

    chosen = {name: value for name, value in vars(options).items() if name not in _NOT_PASSED}
    with steps() as report:
        found = export_model(
            options.model, options.out, tolerance=options.tolerance or TOLERANCE,
            max_ndcg_loss=options.max_ndcg_loss or MAX_LOSS, progress=report, **chosen,
        )  # fmt: skip
    print(found.summary())
    return 0
