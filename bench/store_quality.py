"""What keeping vectors in fp16 or int8 costs: nDCG@10 and recall@100 of a bi-encoder over whole collections.

``python bench/store_quality.py FOLDER SPLIT [FOLDER SPLIT ...]``, folders in the layout of BEIR. Each collection is
encoded once (or, with ``--store``, taken from an fp32 store that ``cascaderank index`` made: what it lacks is left
out); three stores are made of the same vectors, and every query ranks all documents with each. Differences to fp32 are
paired by query, with a bootstrap interval.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

import numpy as np
from measure import describe, machine, table, write_json

from cascaderank import Cascade, Document, Stage, Store
from cascaderank.evaluate.data import BeirData, load_beir
from cascaderank.evaluate.metrics import bootstrap_interval, ndcg, recall
from cascaderank.store import PRECISIONS, Part, Schema

_MEASURES = {"nDCG@10": (ndcg, 10), "recall@100": (recall, 100)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="FOLDER SPLIT")
    parser.add_argument("--model", default="minilm-bi", help="a bi-encoder's name or folder (default minilm-bi)")
    parser.add_argument("--queries", type=int, default=500, help="at most so many, evenly chosen (default 500)")
    parser.add_argument("--store", help="an fp32 store of the one collection given")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if len(arguments.sets) % 2:
        parser.error("give a split after each folder")
    if arguments.store is not None and len(arguments.sets) > 2:
        parser.error("--store is of one collection")
    found = machine()
    print(describe(found))
    rows = [("collection", "vectors", "bytes", "measure", "value", "difference to fp32", "95 %", "max |score diff|")]
    results = []
    for folder, split in zip(arguments.sets[::2], arguments.sets[1::2], strict=True):
        for result in measure(folder, split, arguments):
            results.append(result)
            interval = f"{result['low']:+.4f} to {result['high']:+.4f}"
            rows.append(
                (
                    f"{result['collection']} ({result['queries']} queries)",
                    result["vectors"],
                    str(result["bytes"]),
                    result["measure"],
                    f"{result['value']:.4f}",
                    f"{result['difference']:+.5f}",
                    interval,
                    f"{result['score_difference']:.1e}",
                )
            )
    print(table(rows))
    write_json(arguments.json, {"machine": found, "results": results})


def measure(folder: str, split: str, arguments: argparse.Namespace) -> list[dict[str, object]]:
    data = load_beir(folder, split)
    size = len(data.corpus)
    with Cascade([Stage(arguments.model, keep=size)], max_candidates=size, truncate_query=True) as cascade:
        spec = cascade.models[0]
        whole = _store(cascade, data, arguments.store)
        ids = [name for name, row in zip(data.corpus, whole.find(list(data.corpus)).tolist(), strict=True) if row >= 0]
        rows = whole.find(ids)
        held = set(ids)
        judged = [name for name, grades in data.qrels.items() if held.issuperset(n for n, g in grades.items() if g > 0)]
        most = min(arguments.queries, len(judged))
        names = [judged[place * len(judged) // most] for place in range(most)]
        part = Part(ids, whole.checksums_of(rows), {}, {spec.digest: whole.vectors(spec.digest, rows)}, {})
        values: dict[str, dict[str, list[float]]] = {}
        scores: dict[str, list[np.ndarray]] = {}
        for precision in PRECISIONS:
            schema = Schema(precision, {}, {spec.digest: spec.output.dimension}, {}, {spec.digest: spec.name})
            store = Store.of(schema, [part])
            values[precision] = {name: [] for name in _MEASURES}
            scores[precision] = []
            for name in names:
                ranking = cascade.rank(data.queries[name], ids=ids, store=store)
                by_index = np.empty(len(ids), np.float32)
                by_index[ranking.order] = ranking.scores[:, 0]
                scores[precision].append(by_index)
                best = [ids[index] for index in ranking.order[:100].tolist()]
                for label, (function, cut) in _MEASURES.items():
                    values[precision][label].append(function(data.qrels[name], best, cut))
        width = {"fp32": 4, "fp16": 2, "int8": 1}
        dimension = spec.output.dimension
    return [
        {
            "collection": folder.rstrip("/").rpartition("/")[2] + " " + split,
            "queries": len(names),
            "documents": len(ids),
            "vectors": precision,
            "bytes": width[precision] * dimension + (4 if precision == "int8" else 0),
            "measure": label,
            "score_difference": _largest(scores["fp32"], scores[precision]),
            **_compare(values["fp32"][label], values[precision][label]),
        }
        for precision in PRECISIONS
        for label in _MEASURES
    ]


def _store(cascade: Cascade, data: BeirData, path: str | None) -> Store:
    if path is None:
        documents = [Document(name, text) for name, text in data.corpus.items()]
        return cascade.encode(documents, lambda done, total: print(f"\r{done} of {total}", end="", file=sys.stderr))
    store = Store.open(path)
    if store.schema.precision != "fp32" or cascade.models[0].digest not in store.schema.vectors:
        raise SystemExit(f"{path}: not an fp32 store of {cascade.models[0].name}")
    return store


def _compare(base: list[float], other: list[float]) -> Mapping[str, float]:
    differences = np.subtract(other, base)
    low, high = bootstrap_interval(differences)
    return {"value": float(np.mean(other)), "difference": float(differences.mean()), "low": low, "high": high}


def _largest(base: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(base, other, strict=True))


if __name__ == "__main__":
    main()
