"""What a changed graph costs: scores and times beside those of fp32, and what neighbours in a batch do to a score."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from rich.progress import track

from cascaderank.evaluate.metrics import ndcg
from exporting.parity import onnx_outputs
from exporting.runtime import mean_pool, session
from measuring.measures import kendall_tau
from texts.data import Bm25, read_collection
from texts.pairs import PairEncoder, feed

Row = tuple[list[int], int]
BATCH = 8


@dataclass(frozen=True, slots=True)
class DevList:
    """One query of a dev split: its row (bi-encoder) or the rows of its pairs, and the candidates' judgements."""

    rows: list[Row]
    documents: list[str]
    grades: dict[str, int]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A graph beside fp32 over lists: logits' largest and mean |difference|, mean tau within a list, nDCG@10 of both
    (float64 [lists]). Score differences of a bi-encoder are those of cosines."""

    max_diff: float
    mean_diff: float
    tau: float
    exact: np.ndarray
    changed: np.ndarray

    @property
    def loss(self) -> float:
        """Mean nDCG@10 of fp32 minus that of the changed graph."""
        return float((self.exact - self.changed).mean())

    @property
    def loss_error(self) -> float:
        """Standard error of `loss`, over the lists."""
        return float((self.exact - self.changed).std(ddof=1) / np.sqrt(len(self.exact)))


def dev_lists(data: Path, encoder: PairEncoder, cross: bool, count: int, depth: int = 16) -> list[DevList]:
    """`count` graded-lists dev queries with their judged passages, and as many nq-qed dev ones with BM25's top `depth`.

    A bi-encoder's list starts with the row of the query."""
    graded, questions = read_collection(data, "graded-lists", "dev"), read_collection(data, "nq-qed", "dev")
    index = Bm25(questions.documents)
    work = [(graded, q, list(graded.qrels[q])) for q in graded.sample(count)]
    work += [(questions, q, list(index.top(questions.queries[q], depth))) for q in questions.sample(count)]
    lists = []
    for collection, name, ids in work:
        query, texts = collection.queries[name], [collection.documents[i] for i in ids]
        rows = [encoder.pair(query, text) for text in texts] if cross else [encoder.single(t) for t in (query, *texts)]
        lists.append(DevList(rows, ids, collection.qrels[name]))
    return lists


def outputs(runner: onnxruntime.InferenceSession, rows: Sequence[Row], cross: bool) -> np.ndarray:
    """Of one run over padded rows: logits [rows], or unit vectors [rows, size]; float64."""
    arrays = feed(rows)
    result = onnx_outputs(runner, [arrays])[0]
    return (result[:, 0] if cross else mean_pool(result, arrays["attention_mask"])).astype(np.float64)


def list_scores(
    runner: onnxruntime.InferenceSession, graph: Path, lists: list[DevList], cross: bool, cache: Path, what: str
) -> list[np.ndarray]:
    """float64 scores of each list, one row per run as the engine does on a CPU. Kept per list, so that an interrupted
    measurement goes on where it stopped; a changed graph or ONNX Runtime starts anew."""
    key = zlib.crc32(graph.read_bytes())
    kept = cache / f"quantisation.{key:08x}.{onnxruntime.__version__}.jsonl"
    cache.mkdir(parents=True, exist_ok=True)
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
    known: dict[str, list[float]] = {}
    for line in lines:
        try:
            digest, values = json.loads(line)
        except ValueError:  # cut off when the process was ended
            continue
        known[digest] = values
    found = []
    with kept.open("a", encoding="utf-8") as stream:
        if lines:
            stream.write("\n")  # ends a line that was cut off; empty ones are passed over
        for one in track(lists, f"scores: {what}", transient=True):
            digest = f"{zlib.crc32(json.dumps(one.rows).encode()):08x}"
            if digest not in known:
                values = np.concatenate([outputs(runner, [row], cross) for row in one.rows])
                known[digest] = (values if cross else values[1:] @ values[0]).tolist()
                stream.write(json.dumps([digest, known[digest]]) + "\n")
                stream.flush()
            found.append(np.array(known[digest]))
    return found


def agree(lists: list[DevList], exact: list[np.ndarray], changed: list[np.ndarray]) -> Agreement:
    """Scores of a changed graph beside those of fp32."""
    differences = np.abs(np.concatenate(changed) - np.concatenate(exact))
    ranked = [[_ndcg(one, values) for one, values in zip(lists, scores, strict=True)] for scores in (exact, changed)]
    return Agreement(
        float(differences.max()),
        float(differences.mean()),
        float(np.mean([kendall_tau(a, b) for a, b in zip(exact, changed, strict=True)])),
        np.array(ranked[0]),
        np.array(ranked[1]),
    )


def int8_loss(
    name: str, cross: bool, exact: Path, small: Path, encoder: PairEncoder, data: Path, count: int, cache: Path
) -> dict[str, object]:
    """A shipped graph beside its fp32 one, over `count` dev queries per set: the manifest's `[parity]`."""
    lists = dev_lists(data, encoder, cross, count)
    scores = [
        list_scores(session(graph), graph, lists, cross, cache, f"{name} {title}")
        for graph, title in ((exact, "fp32"), (small, "int8"))
    ]
    found = agree(lists, *scores)
    return {
        "int8_kendall_tau": round(found.tau, 4),
        "int8_max_abs_diff": round(found.max_diff, 4),
        "int8_ndcg10_fp32": round(float(found.exact.mean()), 4),
        "int8_ndcg10": round(float(found.changed.mean()), 4),
        "int8_ndcg10_loss": round(found.loss, 4),
        "data": f"graded-lists dev and nq-qed dev (BM25 top 16), {count} queries each",
    }


def _ndcg(one: DevList, scores: np.ndarray) -> float:
    return ndcg(one.grades, [one.documents[i] for i in np.argsort(-scores, kind="stable")])


def batch_effects(runner: onnxruntime.InferenceSession, lists: list[DevList], cross: bool) -> tuple[float, float]:
    """How far company moves an output: largest |alone - in a padded micro-batch of 8|, and largest difference between
    two micro-batches that have only that row in common. Of a bi-encoder each number of a vector counts.

    Takes 64 rows, of as many lists as there are; raises ValueError where there are fewer."""
    depth = max(len(one.rows) for one in lists)
    rows = [one.rows[place] for place in range(depth) for one in lists if place < len(one.rows)][: BATCH * BATCH]
    if len(rows) < BATCH * BATCH:
        raise ValueError(
            f"{len(rows)} rows; {BATCH * BATCH} are needed to change all neighbours, so measure more lists"
        )
    alone = np.concatenate([outputs(runner, [row], cross) for row in rows])
    places = np.arange(len(rows)).reshape(BATCH, BATCH)
    together = []
    for batches in (places, places.T):  # a row and a column of a square share one element
        values = np.empty_like(alone)
        for batch in batches:
            values[batch] = outputs(runner, [rows[place] for place in batch], cross)
        together.append(values)
    moved = max(float(np.abs(values - alone).max()) for values in together)
    return moved, float(np.abs(together[0] - together[1]).max())


def time_ratios(
    exact: onnxruntime.InferenceSession, changed: onnxruntime.InferenceSession, row: Row, rounds: int
) -> np.ndarray:
    """fp32's time over the changed graph's, float64 [rounds]: one row a run, in turn; who goes first alternates."""
    arrays = feed([row])
    times = np.zeros((rounds + 5, 2))
    for turn, pair in enumerate(times):
        for column in (0, 1) if turn % 2 else (1, 0):
            start = time.perf_counter()
            (exact, changed)[column].run(None, arrays)
            pair[column] = time.perf_counter() - start
    return times[5:, 0] / times[5:, 1]
