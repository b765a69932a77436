"""Did a commit make anything slower? ``python bench/compare_commits.py OLD NEW [--threshold 5]``

Builds both commits, each from its files in a temporary folder into a folder of its own (``pip install --target``),
then runs the same workload (``commit_workload.py`` of this tree) in processes that alternate, one of each a round.
Per step: the ratio NEW / OLD of each round, its median and the interval between its quartiles. Exit status 1 when the
whole interval of a step lies beyond the threshold, 2 when a commit cannot be built.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import Spread, describe, machine, spread, table, write_json

Round = Mapping[str, float]
_ROOT = Path(__file__).resolve().parent.parent
_WORKLOAD = Path(__file__).with_name("commit_workload.py")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One step: NEW's time over OLD's (above 1: slower now)."""

    step: str
    old_s: float
    new_s: float
    ratio: Spread
    slower: bool
    faster: bool

    @property
    def word(self) -> str:
        return "SLOWER" if self.slower else "faster" if self.faster else "same"


def judge(old: Sequence[Round], new: Sequence[Round], threshold: float) -> list[Verdict]:
    """Compare round by round; ``threshold`` is a share (0.05: 5 %). A step counts as changed only where both quartiles
    of its ratio are beyond it. Steps that one commit lacks are left out."""
    if len(old) != len(new) or not old:
        raise SystemExit(f"{len(old)} rounds of the old commit, {len(new)} of the new; need as many of both, and one")
    found = []
    for step in (step for step in old[0] if all(step in one for one in (*old, *new))):
        ratio = spread([after[step] / before[step] for before, after in zip(old, new, strict=True)])
        seconds = [spread([one[step] for one in rounds]).median for rounds in (old, new)]
        found.append(
            Verdict(step, *seconds, ratio, slower=ratio.low > 1 + threshold, faster=ratio.high < 1 / (1 + threshold))
        )
    return found


def alternate_rounds(run: Callable[[str], Round], rounds: int) -> tuple[list[Round], list[Round]]:
    """``run("old")`` and ``run("new")`` as often, each first in every other round."""
    found: dict[str, list[Round]] = {"old": [], "new": []}
    for number in range(rounds):
        for side in ("old", "new") if number % 2 == 0 else ("new", "old"):
            found[side].append(run(side))
    return found["old"], found["new"]


def build(commit: str, scratch: Path) -> Path:
    """The commit's packages in a folder that PYTHONPATH can name."""
    tree, target, archive = scratch / "tree", scratch / "packages", scratch / "tree.tar"
    _run(["git", "-C", str(_ROOT), "archive", "--format=tar", f"--output={archive}", commit])
    shutil.unpack_archive(archive, tree, filter="data")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target)]
    _run([*command, str(tree), str(tree / "models")])
    return target


def measure(packages: Path) -> Round:
    """One process, which imports these packages and no others of the same names."""
    environment = {**os.environ, "PYTHONPATH": str(packages), "OPENBLAS_NUM_THREADS": "1"}
    # An editable installation puts a finder of its own before every path.
    program = (
        "import runpy, sys\n"
        "sys.meta_path[:] = [one for one in sys.meta_path if 'editable' not in type(one).__module__.lower()]\n"
        f"sys.path.insert(0, {str(packages)!r})\n"
        f"runpy.run_path({str(_WORKLOAD)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the workload failed with {packages}:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{' '.join(command)}:\n{done.stdout}{done.stderr}", file=sys.stderr)
        raise SystemExit(2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threshold", type=float, default=5.0, help="per cent (default 5)")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    found = machine()
    print(describe(found))
    with tempfile.TemporaryDirectory() as scratch:
        packages = {}
        for side, commit in (("old", arguments.old), ("new", arguments.new)):
            folder = Path(scratch, side)
            folder.mkdir()
            packages[side] = build(commit, folder)
        old, new = alternate_rounds(lambda side: measure(packages[side]), arguments.rounds)
    verdicts = judge(old, new, arguments.threshold / 100)
    rows = [("step", f"{arguments.old} ms", f"{arguments.new} ms", "new / old", "quartiles", "")]
    rows += [
        (one.step, f"{one.old_s * 1e3:.3f}", f"{one.new_s * 1e3:.3f}", f"{one.ratio.median:.3f}",
         f"{one.ratio.low:.3f}-{one.ratio.high:.3f}", one.word)
        for one in verdicts
    ]  # fmt: skip
    print(table(rows))
    write_json(
        arguments.json, {"machine": found, "old": old, "new": new, "slower": [v.step for v in verdicts if v.slower]}
    )
    return int(any(one.slower for one in verdicts))


if __name__ == "__main__":
    sys.exit(main())
