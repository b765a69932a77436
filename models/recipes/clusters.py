"""Clusters of 16 neighbouring passages, for a reader to write queries for and to grade; makes text files of them.

    python models/recipes/clusters.py OUT

Neighbours of a seed: nine by the bi-encoder, the rest by BM25 with the seed's text as the query. Documents that a test
query of their collection judges are left out, so no measured passage is ever graded.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from texts.data import Bm25, read_documents
from texts.pairs import PairEncoder, clean_tokenizer
from texts.passages import STDLIB, read_stdlib
from training.embed import embed

SIZE, NEAREST = 16, 9
WINDOW = 230  # word pieces a reader sees: what is left of a row of 256 beside a query
# Collection to clusters and the passages to draw from; every licence allows training what ships.
SOURCES = {
    STDLIB: (250, 6000),
    "medquad": (130, 4000),
    "nq-qed": (80, 4000),
    "boolq-dev": (40, 2939),
    "scifact": (80, 2500),
    "pubmedqa": (30, 1000),
    "squad-sentences": (90, 2000),
}


def judged(root: Path, name: str, splits: tuple[str, ...]) -> set[str]:
    """Documents that queries of these splits judge."""
    found = set()
    for split in splits:
        if (path := root / name / "qrels" / f"{split}.tsv").is_file():
            with path.open(encoding="utf-8") as lines:
                found |= {row["corpus-id"] for row in csv.DictReader(lines, delimiter="\t")}
    return found


def join_sentences(documents: dict[str, str], words: int = 140) -> dict[str, str]:
    """Consecutive sentences of one collection, which keep their article's order, joined to passages of some words."""
    joined, ids, texts = {}, [], []  # type: dict[str, str], list[str], list[str]
    for identifier, text in documents.items():
        ids.append(identifier)
        texts.append(text)
        if sum(len(t.split()) for t in texts) >= words:
            joined[f"{ids[0]}..{ids[-1]}"] = " ".join(texts)
            ids, texts = [], []
    return joined


def pool(root: Path, name: str, count: int, rng: np.random.Generator) -> dict[str, str]:
    """The passages of one source that may be graded."""
    if name == STDLIB:
        return read_stdlib()
    documents = read_documents(root / name)
    hidden = judged(root, name, ("test",))
    if name == "squad-sentences":  # its dev part holds a test set's paragraphs
        hidden |= judged(root, name, ("dev",))
    documents = {i: text for i, text in documents.items() if i not in hidden}
    if name == "squad-sentences":
        documents = join_sentences(documents)
    elif name == "medquad":  # the short answers are templates
        documents = {i: text for i, text in documents.items() if len(text.split()) >= 90}
    kept = sorted(rng.choice(len(documents), min(count, len(documents)), replace=False))
    ids = list(documents)
    return {ids[i]: documents[ids[i]] for i in kept}


def neighbours(seed: int, vectors: np.ndarray, index: Bm25, texts: list[str]) -> list[int]:
    """Rows of a cluster: the seed, its nearest by vector, then by BM25; near-duplicates of the seed left out."""
    similarity = vectors @ vectors[seed]
    near = [int(i) for i in np.argsort(-similarity) if i != seed and similarity[i] < 0.97]
    lexical = index.scores(" ".join(texts[seed].split()[:60]))
    chosen = [seed, *near[:NEAREST]]
    chosen += [int(i) for i in np.argsort(-lexical) if i not in chosen and similarity[i] < 0.97][: SIZE - len(chosen)]
    return chosen


def seeds(vectors: np.ndarray, count: int, rng: np.random.Generator, texts: list[str]) -> list[int]:
    """Random passages of at least 25 words, no two of them close."""
    chosen: list[int] = []
    for i in rng.permutation(len(texts)):
        if len(texts[i].split()) >= 25 and all(vectors[i] @ vectors[j] < 0.8 for j in chosen):
            chosen.append(int(i))
        if len(chosen) == count:
            break
    return chosen


def main() -> None:
    """Write OUT/clusters.jsonl (names only) and OUT/batch_NNN.txt (texts to read)."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=here.parents[2] / "shared" / "data")
    parser.add_argument("--model", type=Path, default=here.parent / "cascaderank_models" / "minilm-bi")
    parser.add_argument("--batch", type=int, default=8, help="clusters per file")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    encoder = PairEncoder(clean_tokenizer(options.model / "tokenizer.json"))
    clusters: list[tuple[list[str], list[str]]] = []
    for name, (count, size) in SOURCES.items():
        documents = pool(options.data, name, size, rng)
        ids, texts = list(documents), list(documents.values())
        vectors, index = embed(texts, options.model, name), Bm25(documents)
        for seed in seeds(vectors, count, rng, texts):
            rows = [int(i) for i in rng.permutation(neighbours(seed, vectors, index, texts))]
            clusters.append(([f"{name}:{ids[i]}" for i in rows], [cut(texts[i], encoder) for i in rows]))
        print(f"{name}: {len(clusters)} clusters so far", flush=True)
    order = rng.permutation(len(clusters))
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "clusters.jsonl").open("w", encoding="utf-8") as names:
        for number, i in enumerate(order):
            names.write(json.dumps({"cluster": number, "passages": clusters[i][0]}) + "\n")
    for start in range(0, len(order), options.batch):
        parts = []
        for number in range(start, min(start + options.batch, len(order))):
            parts.append(f"##### CLUSTER {number} ({clusters[order[number]][0][0].partition(':')[0]})")
            parts += [f"[{place}] {text}" for place, text in enumerate(clusters[order[number]][1])]
        (options.out / f"batch_{start // options.batch:03d}.txt").write_text("\n".join(parts) + "\n", encoding="utf-8")


def cut(text: str, encoder: PairEncoder) -> str:
    """The part of a text that a row of the window holds beside a query, on one line."""
    encoded = encoder.tokenizer.encode(text, add_special_tokens=False)
    end = encoded.offsets[WINDOW - 1][1] if len(encoded.ids) > WINDOW else len(text)
    return " ".join(text[:end].split())


if __name__ == "__main__":
    main()
