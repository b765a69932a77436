"""``cascaderank precision``: the best arithmetic of this machine for each stage."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command, positive_integer, positive_number

if TYPE_CHECKING:
    from cascaderank.config import CascadeConfig
    from cascaderank.evaluate.requests import Request

_TEXT = """\
Measure each stage's model in every precision and on every provider there is, on this processor: the stage's folder,
folders beside it and folders given that hold the same model (`cascaderank export --precision` makes them), on the CPU
provider and, where it is installed, on OpenVINO (in bf16 too, where the processor has it).

Printed: time a row on one thread, the ratio to fp32 with quartiles (to the stage's present variant without an fp32
folder), score differences and Kendall's tau within lists. With --data also the loss of nDCG@10 with its 95 % interval,
and the fastest variant whose interval ends within --max-ndcg-loss; --write puts it into a cascade file.
"""
_EXAMPLES = """\
  cascaderank precision cascade.toml
  cascaderank precision cascade.toml models/ce-fp32 --data beir/scifact --split dev --write cascade.here.toml
  cascaderank precision models/ce-fp32 models/ce-int8 --data beir/scifact --json precision.json
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "precision", "the fastest arithmetic here, and what it costs", _TEXT, _EXAMPLES)
    parser.add_argument(
        "targets", metavar="CASCADE_OR_FOLDER", nargs="+", type=Path,
        help="a cascade file first, or none; folders with the same models in other precisions",
    )  # fmt: skip
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder in the layout of BEIR: measure nDCG@10 too")
    parser.add_argument("--split", default="dev", help="of --data; default: dev")
    parser.add_argument("--queries", type=positive_integer, default=50, metavar="N", help="at most; default: 50")
    parser.add_argument(
        "--candidates", type=positive_integer, default=30, metavar="N", help="of BM25, reranked; default: 30"
    )
    parser.add_argument(
        "--max-ndcg-loss", type=positive_number, default=0.005, metavar="X",
        help="the upper end of the loss's interval may be this much (nDCG@10 points); default: 0.005",
    )  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="OUT.toml", help="write the cascade with the choices")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    from cascaderank.arithmetic import choose, find_variants, measure_variants, write_choices
    from cascaderank.arithmetic.variants import check_used
    from cascaderank.calibrate.extras import require
    from cascaderank.cli.precision_show import describe, show_machine, show_stage
    from cascaderank.cli.terminal import console, progress
    from cascaderank.errors import InputError
    from cascaderank.evaluate.bench import describe_machine

    file, folders = _split(options)
    if options.write is not None:
        if file is None or options.data is None:
            options.parser.error("--write needs a cascade file to change and --data to judge a loss by")
        require("tomlkit")
    config = _config(file, folders)
    ways = [find_variants(stage, config.base, folders) for stage in config.stages]
    check_used(folders, [variant for variants in ways for variant in variants])
    requests, qrels, what = _labelled(options)
    screen, machine = console(), describe_machine()
    show_machine(screen, machine, what)
    chosen, stages = [], []
    for stage, variants in zip(config.stages, ways, strict=True):
        name = stage.name or Path(stage.model).name
        with progress(f"{name}: lists") as report:
            reference, found = measure_variants(variants, requests, qrels, report)
        best = choose(found, options.max_ndcg_loss)
        show_stage(screen, name, reference, found, best, options.max_ndcg_loss)
        stages.append(describe(name, reference, found, best))
        chosen.append(best)
    if options.json is not None:
        import json

        whole = {"machine": machine, "data": what, "max_ndcg_loss": options.max_ndcg_loss, "stages": stages}
        options.json.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if options.write is not None and file is not None:
        picked = [item for item in chosen if item is not None]
        if len(picked) != len(chosen):
            raise InputError("a stage has no variant within the loss; nothing is written, allow more or label more")
        write_choices(file, options.write, picked, f"{machine['processor']}, {what}")
        screen.print(f"written: {options.write}")
    return 0


def _split(options: argparse.Namespace) -> tuple[Path | None, list[Path]]:
    files = [path for path in options.targets if path.suffix == ".toml"]
    if len(files) > 1:
        options.parser.error("one cascade file at a time")
    return (files[0] if files else None), [path for path in options.targets if path.suffix != ".toml"]


def _config(file: Path | None, folders: list[Path]) -> CascadeConfig:
    """The cascade of the file, or one stage with the first of the folders."""
    from cascaderank.config import CascadeConfig, Stage, read_config

    return CascadeConfig((Stage(folders[0], keep=1),)) if file is None else read_config(file)


def _labelled(options: argparse.Namespace) -> tuple[list[Request], dict[str, dict[str, int]] | None, str]:
    """Requests and judgements of ``--data``; nothing without."""
    from cascaderank.cli.terminal import progress
    from cascaderank.evaluate import load_beir
    from cascaderank.evaluate.requests import evenly, make_requests

    if options.data is None:
        return [], None, "fixed lists"
    data = load_beir(options.data, options.split)
    with progress("first pass: queries") as report:
        requests = evenly(make_requests(data, options.candidates, report), options.queries)
    what = f"{options.data.resolve().name} {options.split}, {len(requests)} queries, BM25 top {options.candidates}"
    return requests, data.qrels, what
