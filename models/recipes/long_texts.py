"""What to do about texts that are longer than what a model reads, on dev sets only.

    python models/recipes/long_texts.py --windows 64 128

The models score every list with their windows cut to the sizes given: a passage of 150 tokens in a window of 64 stands
for an article of 600 in the 256 that they read. Two things are tried. A stage's coverage is the share of tokens of its
candidates that its model saw; its weight is multiplied by a power of that, and what is lost goes to the first pass,
which read everything ("to first"), or to nobody, so that the others keep their proportions ("dropped"); power 0 is the
plain cascade. "2 pieces": models also read on from three quarters of a window, and the better of both scores counts,
with the plain cascade's weights. Scores are cached as those of quality.py.
"""

from __future__ import annotations

import argparse
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import tomli_w

from cascaderank.config import CascadeConfig, read_config
from cascaderank.evaluate.metrics import ndcg
from measuring.measured import parts_of
from measuring.measures import z_scores
from measuring.scoring import Bench, bench, score_lists
from measuring.sets import CHOOSING, Lists, read_lists
from measuring.systems import BI, FIRST, Parts, by, cascade_order
from texts.pairs import clean_tokenizer

WAYS = {(p, True): f"{p:g} to first" for p in (0.0, 0.5, 1.0, 2.0)} | {(p, False): f"{p:g} dropped" for p in (1.0, 2.0)}
SPECIAL = {True: 2, False: 3}  # tokens of a row that are no text: one text, and a pair


def windowed(model: Path, window: int, cache: Path) -> Path:
    """A folder as `model` with another window, kept in `cache`; the model's own folder where it is its own."""
    manifest = tomllib.loads((model / "model.toml").read_text(encoding="utf-8"))
    if window == manifest["max_length"]:
        return model
    folder = cache / f"{model.name}.{window}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copyfile(model / name, folder / name)
    kept = {key: value for key, value in manifest.items() if key != "golden"} | {"max_length": window}
    (folder / "model.toml").write_text(tomli_w.dumps(kept), encoding="utf-8")
    return folder


def coverages(lists: Lists, tokenizer: Path, window: int, models: list[str]) -> list[dict[str, float]]:
    """Per query and model the share of its candidates' tokens that fit beside the query."""
    encoder = clean_tokenizer(tokenizer)

    def lengths(texts: list[str]) -> np.ndarray:
        return np.array([len(e.ids) for e in encoder.encode_batch_fast(texts, add_special_tokens=False)])

    used = dict.fromkeys(i for first in lists.first.values() for i in first)
    known = dict(zip(used, lengths([lists.collection.documents[i] for i in used]).tolist(), strict=True))
    asked = lengths([lists.collection.queries[q] for q in lists.first])
    found = []
    for query, first in zip(asked.tolist(), lists.first.values(), strict=True):
        tokens = np.array([known[i] for i in first])
        room = {model: window - SPECIAL[model == BI] - (0 if model == BI else query) for model in models}
        found.append({m: float(np.minimum(tokens, most).sum() / max(1, tokens.sum())) for m, most in room.items()})
    return found


def gated(config: CascadeConfig, covered: Mapping[str, float], power: float, to_first: bool) -> CascadeConfig:
    """The cascade with the weights that it would have for a request of this coverage."""
    names = [Path(stage.model).name for stage in config.stages]
    shares = [covered[name] ** power for name in names]
    stages = [replace(s, weight=s.weight * share) for s, share in zip(config.stages, shares, strict=True)]
    lost = sum(before.weight - after.weight for before, after in zip(config.stages, stages, strict=True))
    return replace(config, stages=tuple(stages), first_weight=config.first_weight + lost * to_first)


def row(
    config: CascadeConfig, lists: Lists, scored: list[list[Parts]], covered: list[dict[str, float]]
) -> dict[str, np.ndarray]:
    """nDCG@10 per query of every way. `scored[n]` are the scores of the beginnings and of `n` more pieces."""
    table: dict[str, list[float]] = {}
    for number, (query, first) in enumerate(lists.first.items()):
        ids, grades = list(first), lists.collection.qrels[query]
        parts = scored[0][number]
        orders = {"BM25": np.arange(len(ids)), "BM25 + bi": by(z_scores(parts[FIRST]) + z_scores(parts[BI]))}
        for (power, to_first), name in WAYS.items():
            orders[name] = cascade_order(gated(config, covered[number], power, to_first), parts)
        for more, pieces in enumerate(scored[1:], start=2):
            orders[f"{more} pieces"] = cascade_order(config, pieces[number])
        for name, order in orders.items():
            table.setdefault(name, []).append(ndcg(grades, [ids[i] for i in order]))
    return {name: np.array(values) for name, values in table.items()}


def later_piece(texts: Mapping[str, str], tokenizer: Path, start: int) -> dict[str, str]:
    """What the texts say from token `start` on; texts that end before it are left out."""
    encoder = clean_tokenizer(tokenizer)
    encoded = encoder.encode_batch(list(texts.values()), add_special_tokens=False)
    places = {name: e.offsets[start][0] for name, e in zip(texts, encoded, strict=True) if len(e.ids) > start}
    return {name: texts[name][place:] for name, place in places.items()}


def score(lists: Lists, models: Path, names: list[str], window: int, pieces: int, where: Bench) -> list[list[Parts]]:
    """Every model's scores in this window: of the beginnings, then the better of them and one more piece, and so on."""
    requests = [(lists.collection.queries[q], list(first)) for q, first in lists.first.items()]
    wanted = dict.fromkeys(i for _, ids in requests for i in ids)
    texts = {i: lists.collection.documents[i] for i in wanted}
    best: dict[str, list[np.ndarray]] = {}
    found = []
    for piece in range(pieces):
        title = f"{lists.task.name}.{lists.task.split}" + (f".{piece}" if piece else "")
        here = later_piece(texts, models / names[0] / "tokenizer.json", piece * window * 3 // 4) if piece else texts
        some = [(query, [i for i in ids if i in here]) for query, ids in requests]
        asked = [place for place, (_, ids) in enumerate(some) if ids]
        for name in names:
            folder = windowed(models / name, window, where.cache)
            scores = score_lists(folder, title, here, [some[place] for place in asked], where)
            values = best.setdefault(name, [np.full(len(ids), -np.inf) for _, ids in requests])
            for place, new in zip(asked, scores, strict=True):
                rows = [row for row, i in enumerate(requests[place][1]) if i in here]
                values[place][rows] = np.maximum(values[place][rows], new)
        copies = {name: [value.copy() for value in values] for name, values in best.items()}
        found.append(list(parts_of(lists, copies, lists.first, 10**9).values()))
    return found


def main() -> None:
    """Print a row per set and window, and the means."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=here.parents[2] / "shared" / "data")
    parser.add_argument("--models", type=Path, default=here.parent / "cascaderank_models")
    parser.add_argument("--cache", type=Path, default=here / "cache" / "long")
    parser.add_argument("--sets", nargs="*", choices=[task.name for task in CHOOSING], help="only these dev sets")
    parser.add_argument("--windows", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--pieces", type=int, default=2, help="pieces of a text that are read at most")
    parser.add_argument("--queries", type=int, default=40, help="queries per set, a fixed sample")
    parser.add_argument("--depth", type=int, default=30, help="BM25's candidates")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    config = read_config(options.models / "cascade.toml").for_documents(True)
    names = [Path(stage.model).name for stage in config.stages]
    tables, header = [], ""
    with bench(options.cache, options.threads) as where:
        for task in CHOOSING:
            if options.sets and task.name not in options.sets:
                continue
            lists = read_lists(options.data, task, options.queries, options.depth)
            for window in options.windows:
                scored = score(lists, options.models, names, window, options.pieces, where)
                covered = coverages(lists, options.models / names[0] / "tokenizer.json", window, names)
                table = row(config, lists, scored, covered)
                tables.append(table)
                if not header:
                    header = f"| set | window | coverage | {' | '.join(table)} |\n{'|---' * (len(table) + 3)}|"
                    print(header)
                mean = np.mean([share[names[-1]] for share in covered])
                cells = " | ".join(f"{values.mean():.4f}" for values in table.values())
                print(f"| {task} ({len(lists.first)}) | {window} | {mean:.2f} | {cells} |", flush=True)
    every = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    plain = every["0 to first"]
    gains = {name: values - plain for name, values in every.items()}
    cells = " | ".join(f"{g.mean():+.4f} ± {g.std(ddof=1) / np.sqrt(len(g)):.4f}" for g in gains.values())
    print(f"| minus power 0, all {len(plain)} | | | {cells} |")


if __name__ == "__main__":
    main()
