"""A store of a million synthetic documents: opening, finding ids, and stage 1 over 1000 of them drawn anew each time.

``python bench/store_speed.py [--documents N] [--vectors int8]``. Files are in the page cache (they were just written);
the rows of a call are not in the processor's. Rivals in the same run: a dict of the ids for finding them, NumPy's
gather and product for the scores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported; the kernels use one thread, too

import numpy as np
from measure import alternate, describe, machine, speedup, spread, table, write_json

from cascaderank.kernels import Ragged
from cascaderank.store import PRECISIONS, Part, Schema, Store, Writer

_DIMENSION = 384
_TOKENS = 60  # a document
_PART = 8192
_ASKED = 1000
_KEY, _MODEL = "tokenizer", "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--vectors", choices=PRECISIONS, default="fp32")
    parser.add_argument("--repetitions", type=int, default=51)
    parser.add_argument("--folder", help="where to write (default: the folder for temporary files)")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    found = machine()
    print(describe(found))
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="cascaderank-") as folder:
        path = Path(folder, "store")
        begun = time.perf_counter()
        write(path, arguments.documents, arguments.vectors)
        written = time.perf_counter() - begun
        size = sum(item.stat().st_size for item in path.iterdir())
        print(f"written: {arguments.documents} documents, {size / 1e6:.0f} MB in {written:.1f} s, {arguments.vectors}")
        results = {
            "written_s": written,
            "megabytes": size / 1e6,
            **measure(path, arguments.documents, arguments.repetitions),
        }
    write_json(arguments.json, {"machine": found, "vectors": arguments.vectors, "results": results})


def write(path: Path, count: int, precision: str) -> None:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((_PART, _DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tokens = random.integers(1000, 30_000, _PART * _TOKENS)
    schema = Schema(precision, {_KEY: "uint16"}, {_MODEL: _DIMENSION}, {}, {_MODEL: "synthetic"})
    with Writer(path, schema) as writer:
        for start in range(0, count, _PART):
            size = min(_PART, count - start)
            ids = [_name(number) for number in range(start, start + size)]
            texts = Ragged(tokens[: size * _TOKENS], np.arange(size + 1) * _TOKENS)
            writer.add(Part(ids, np.full(size, 7), {_KEY: texts}, {_MODEL: vectors[:size]}, {}))
        writer.commit()


def _name(number: int) -> str:
    return f"collection/document-{number:08d}"


def measure(path: Path, count: int, repetitions: int) -> dict[str, object]:
    store = Store.open(path)
    random = np.random.default_rng(2)
    draws = [random.choice(count, min(_ASKED, count), replace=False) for _ in range(16)]
    names = [[_name(row) for row in draw.tolist()] for draw in draws]
    query = random.standard_normal(_DIMENSION).astype(np.float32)
    by_dict = {_name(number): number for number in range(count)}
    everything = store.vectors(_MODEL, np.arange(count)) if store.schema.precision == "fp32" else None
    turn = iter(range(1 << 40))

    def drawn(call: Callable[[int], object]) -> Callable[[], object]:
        return lambda: call(next(turn) % len(draws))

    for number, draw in enumerate(draws):
        if store.find(names[number]).tolist() != draw.tolist():
            raise SystemExit("another row was found; nothing was measured")
    groups: dict[str, dict[str, Callable[[], object]]] = {
        "open": {"ours": lambda: Store.open(path)},
        "find 1000 ids": {
            "ours": drawn(lambda n: store.find(names[n])),
            "dict": drawn(lambda n: np.fromiter((by_dict.get(name, -1) for name in names[n]), np.int64)),
        },
        "tokens of 100": {"ours": drawn(lambda n: store.tokens(_KEY, draws[n][:100]))},
        "1000 dot products": {
            "ours": drawn(lambda n: store.dot(_MODEL, query, draws[n])),
            **({} if everything is None else {"numpy": drawn(lambda n: everything[draws[n]] @ query)}),
        },
        "find and score 1000": {"ours": drawn(lambda n: store.dot(_MODEL, query, store.find(names[n])))},
    }
    rows = [("what", "ours ms", "quartiles", "rival ms", "ratio")]
    results: dict[str, object] = {}
    for what, contenders in groups.items():
        seconds = alternate(contenders, repetitions)
        ours = spread(seconds["ours"]).scaled(1e3)
        results[what] = {"ours_ms": ours.median, "fastest_ms": min(seconds["ours"]) * 1e3}
        rival = next((name for name in contenders if name != "ours"), None)
        cells = ("", "")
        if rival is not None:
            ratio = speedup(seconds, "ours", rival)
            cells = (f"{spread(seconds[rival]).median * 1e3:.3f} ({rival})", f"{ratio.median:.2f}")
            results[what] = {**results[what], "rival": rival, "ratio": ratio.median}  # type: ignore[dict-item]
        rows.append((what, f"{ours.median:.3f}", f"{ours.low:.3f}-{ours.high:.3f}", *cells))
    print(table(rows))
    return results


if __name__ == "__main__":
    main()
