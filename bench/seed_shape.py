"""The shape 1000 -> 100 -> 20 -> 5 beside the same ranking by one large cross-encoder in sentence-transformers.

    python bench/seed_shape.py --folder MODELS

Documents of about 120 tokens from Python's own documentation, encoded ahead; the installed default cascade. The rival
scores all 1000 pairs with a model of the large model's architecture (stock MiniLM-L6, fp32, other weights: speed does
not depend on their values) through its torch backend, in alternation: one of its calls, then a share of the cascade's
requests. Also: the first request after ``warm_up`` beside the median, in a cascade made for that alone, several times.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure import bar, bar_line, describe, machine, spread, write_json
from rivals.texts import Lengths
from torch.nn import Identity

from cascaderank import Cascade, Document, Store
from cascaderank.demo.corpus import read_corpus
from cascaderank.demo.questions import load_questions
from cascaderank.demo.vectors import load_or_encode
from cascaderank.first_pass import Bm25

CANDIDATES = 1000
_AROUND = (80, 200)  # tokens of a document; their mean is printed


class Shape:
    """Documents of the wanted length, their store, and requests of 1000 of them."""

    def __init__(self, cascade: Cascade, candidates: int) -> None:
        self.candidates = candidates
        everything = read_corpus()
        measure = Lengths(cascade.models[-1].folder)
        lengths = measure("", [document.text for document in everything]) - 3
        held = np.flatnonzero((lengths >= _AROUND[0]) & (lengths <= _AROUND[1]))
        self.documents = [everything[place] for place in held.tolist()]
        self.mean = float(lengths[held].mean())
        if len(held) < candidates:
            raise SystemExit(
                f"only {len(held)} passages of {_AROUND[0]} to {_AROUND[1]} tokens, {candidates} are needed"
            )
        self.store: Store = load_or_encode(cascade, everything).store
        self.questions = [question.question for question in load_questions("dev")]
        self._index = Bm25([document.text for document in self.documents])

    def request(self, number: int) -> tuple[str, list[Document], list[float]]:
        question = self.questions[number % len(self.questions)]
        rows, scores = self._index.top(question, self.candidates)
        return question, [self.documents[row] for row in rows.tolist()], scores.tolist()


def timed(cascade: Cascade, shape: Shape, request: tuple[str, list[Document], list[float]]) -> float:
    question, documents, scores = request
    ids = [document.id for document in documents]
    started = time.perf_counter()
    ranking = cascade.rank(question, ids=ids, scores=scores, store=shape.store, top_n=5)
    taken = time.perf_counter() - started
    if len(ranking) != 5 or ranking.degraded:
        raise SystemExit(f"{question!r}: {len(ranking)} hits, {ranking.reasons}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=120)
    parser.add_argument(
        "--candidates", type=int, default=CANDIDATES, help="fewer only to try the script (default 1000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="calls of the rival (default 3)")
    parser.add_argument("--first", type=int, default=7, help="cascades made anew for their first request (default 7)")
    parser.add_argument("--folder", type=Path, help="keep the exported rival here and find it again")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    described = machine()
    print(describe(described))
    with tempfile.TemporaryDirectory() as scratch, Cascade.default() as cascade:
        from sentence_transformers import CrossEncoder
        from stock_cross_encoder import make_torch_folder

        shape = Shape(cascade, arguments.candidates)
        print(f"{len(shape.documents)} documents, {shape.mean:.0f} tokens on average")
        folder = make_torch_folder((arguments.folder or Path(scratch)) / "torch")
        rival = CrossEncoder(str(folder), device="cpu", activation_fn=Identity(), max_length=512)
        requests = [shape.request(number) for number in range(min(arguments.requests, len(shape.questions)))]
        cascade.warm_up()
        timed(cascade, shape, requests[0])
        rival.predict([(requests[0][0], document.text) for document in requests[0][1][:32]])
        ours: list[float] = []
        theirs: list[float] = []
        ratios: list[float] = []
        for share in np.array_split(np.arange(arguments.requests), arguments.rounds):
            question, documents, _ = requests[int(share[0]) % len(requests)]
            started = time.perf_counter()
            rival.predict([(question, document.text) for document in documents])
            theirs.append(time.perf_counter() - started)
            time.sleep(0.3)  # its idle threads stop spinning
            some = [timed(cascade, shape, requests[number % len(requests)]) for number in share.tolist()]
            ratios.append(theirs[-1] / float(np.median(some)))
            ours += some
        first = first_requests(shape, requests, arguments.first)
    report(described, ours, theirs, ratios, first, arguments.json)


def first_requests(shape: Shape, requests: list[Any], count: int) -> list[float]:
    """The first request after ``warm_up`` of a new cascade over the median of the same request repeated."""
    found = []
    for number in range(count):
        with Cascade.default() as fresh:
            fresh.warm_up()
            request = requests[number % len(requests)]
            first = timed(fresh, shape, request)
            found.append(first / float(np.median([timed(fresh, shape, request) for _ in range(5)])))
    return found


def report(
    described: dict[str, Any],
    ours: list[float],
    theirs: list[float],
    ratios: list[float],
    first: list[float],
    file: str | None,
) -> None:
    p50, p95, p99 = (np.percentile(np.array(ours) * 1e3, (50, 95, 99), method="inverted_cdf")).tolist()
    rival, ratio, fresh = spread(theirs).scaled(1e3), spread(ratios), spread(first)
    print(f"cascade: {len(ours)} requests, P50 {p50:.0f} ms, P95 {p95:.0f}, P99 {p99:.0f}, max {max(ours) * 1e3:.0f}")
    print(f"sentence-transformers, torch, all pairs: {rival.median:.0f} ms ({rival.low:.0f}-{rival.high:.0f})")
    print(f"ratio {ratio.median:.1f} ({ratio.low:.1f}-{ratio.high:.1f}); first request over its own median "
          f"{fresh.median:.2f} ({fresh.low:.2f}-{fresh.high:.2f})")  # fmt: skip
    bars = [
        bar("sentence-transformers' time over the cascade's", ratio.median, 12),
        bar("P50, ms", p50, 600, at_least=False),
        bar("P99 over P50", p99 / p50, 1.3, at_least=False),
        bar("first request after warm_up over the median", fresh.median, 1.2, at_least=False),
    ]
    for entry in bars:
        print(bar_line(entry))
    found = {"ours_s": ours, "theirs_s": theirs, "ratios": ratios, "first": first, "bars": bars}
    write_json(file, {"machine": described, **found})


if __name__ == "__main__":
    main()
