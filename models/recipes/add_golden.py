"""Golden scores for model folders that have none; nothing is exported again.

    python models/recipes/add_golden.py

The pairs' logits are the folder's own, the tolerance what its quantisation moved logits by (`[parity]`): a processor or
an ONNX Runtime that rounds other sums stays within it, a wrong template or another file does not.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import tomli_w

from cascaderank.export.golden import golden_table


def main() -> None:
    """The command line."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["minilm-bi", "minilm-ce-small", "minilm-ce-large"])
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    options = parser.parse_args()
    for name in options.names:
        path = options.models / name / "model.toml"
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
        golden = golden_table(path.parent, tolerance=manifest["parity"]["int8_max_abs_diff"])
        path.write_text(tomli_w.dumps(manifest | {"golden": golden}), encoding="utf-8")
        print(f"{name}: {len(golden['pairs'])} golden pairs, tolerance {golden['tolerance']}")


if __name__ == "__main__":
    main()
