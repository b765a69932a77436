"""Ratios of the kernels to NumPy and Python, measured in alternation: ``python bench/kernels.py``."""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported; the kernels use one thread, too

from kernel_cases import cases
from measure import alternate, bar, bar_line, describe, machine, speedup, spread, table, write_json

_ROUND_S = 0.003  # calls of one contender in one round last at least this long


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=101, help="rounds of all contenders (default 101)")
    parser.add_argument("--only", default="", metavar="TEXT", help="the kernels whose name contains this")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    found = machine()
    print(describe(found))
    rows, results, bars = [("kernel", "rival", "ours us", "rival us", "ratio", "quartiles")], [], []
    for case in (case for case in cases() if arguments.only in case.name):
        answer = case.ours()
        for name, rival in case.others.items():
            if not case.same(answer, rival()):
                raise SystemExit(f"{case.name}: {name} gives another answer; nothing was measured")
            answer = case.ours()
        contenders = {"ours": case.ours, **case.others}
        once = alternate(contenders, 3)
        calls = max(1, int(_ROUND_S / min(once["ours"])))
        seconds = alternate(contenders, arguments.repetitions, calls=calls)
        ratios = {name: speedup(seconds, "ours", name) for name in case.others}
        for name, ratio in ratios.items():
            ours, theirs = spread(seconds["ours"]).scaled(1e6), spread(seconds[name]).scaled(1e6)
            rows.append(
                (
                    case.name,
                    name,
                    f"{ours.median:.1f}",
                    f"{theirs.median:.1f}",
                    f"{ratio.median:.2f}",
                    f"{ratio.low:.2f}-{ratio.high:.2f}",
                )
            )
            results.append(
                {
                    "kernel": case.name,
                    "rival": name,
                    "ours_us": ours.median,
                    "rival_us": theirs.median,
                    "ratio": ratio.median,
                    "quartiles": [ratio.low, ratio.high],
                }
            )
        if case.wanted is not None:
            nearest = min(ratios, key=lambda name: ratios[name].median)
            bars.append(bar(f"{case.name} against {nearest}", ratios[nearest].median, case.wanted))
    print(table(rows))
    for entry in bars:
        print(bar_line(entry))
    write_json(arguments.json, {"machine": found, "kernels": results, "bars": bars})


if __name__ == "__main__":
    main()
