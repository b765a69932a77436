"""Swap a stage's model under a running process, and compare quality and latency before and after.

    python examples/swap_model.py                                     # the small shipped cross-encoder, then the large
    python examples/swap_model.py --before minilm-ce-large --after ./my-int8-folder --questions 60

The new cascade is built beside the old one, so whatever is wrong with the new model is said while the old one serves;
its golden scores are checked and it is warmed up; then one reference changes. A request that began with the old cascade
ends with it. Both are in memory for that time. Questions are the labelled ones about Python's own documentation (dev
half), candidates are BM25's; latency is of one request at a time on this machine, so read it as a ratio.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from cascaderank import Cascade, CascadeConfig, Document, Stage
from cascaderank.demo.corpus import read_corpus
from cascaderank.demo.questions import load_questions
from cascaderank.evaluate.metrics import ndcg
from cascaderank.first_pass import Bm25

KEEP = 10


class Live:
    """The cascade that serves now. ``use`` lends it to one request, ``swap`` puts another in its place."""

    def __init__(self, cascade: Cascade) -> None:
        self._cascade = cascade
        self._users: dict[Cascade, int] = {cascade: 0}
        self._changed = threading.Condition()

    @contextmanager
    def use(self) -> Iterator[Cascade]:
        """One cascade for the whole of a request, kept open until it ends."""
        with self._changed:
            cascade = self._cascade
            self._users[cascade] += 1
        try:
            yield cascade
        finally:
            with self._changed:
                self._users[cascade] -= 1
                self._changed.notify_all()

    def swap(self, config: CascadeConfig) -> list[str]:
        """Build, check and warm up the new cascade, switch, and close the old one once nobody uses it.

        Raises what building or checking the new one raises; the old one then serves on. Returns the names of models
        whose manifest holds no golden scores, so that nothing but their loading was checked.
        """
        new = Cascade(config)
        try:
            unchecked = [spec.name for spec in new.models if spec.golden is None]
            if not unchecked:
                new.check_golden()
            new.warm_up()
        except BaseException:
            new.close()
            raise
        with self._changed:
            old, self._cascade = self._cascade, new
            self._users[new] = 0
            self._changed.wait_for(lambda: self._users[old] == 0)
            del self._users[old]
        old.close()
        return unchecked

    def close(self) -> None:
        self._cascade.close()


@dataclass(frozen=True, slots=True)
class Request:
    """A labelled question with BM25's candidates."""

    question: str
    relevant: dict[str, int]
    documents: list[Document]


def read_requests(questions: int, candidates: int) -> list[Request]:
    """The first questions of the dev half."""
    corpus = read_corpus()
    first_pass = Bm25([document.text for document in corpus])
    requests = []
    for question in load_questions("dev")[:questions]:
        rows, _ = first_pass.top(question.question, candidates)
        found = [corpus[row] for row in rows.tolist()]
        requests.append(Request(question.question, dict(question.relevant), found))
    return requests


def measure(live: Live, requests: Sequence[Request]) -> tuple[np.ndarray, np.ndarray]:
    """nDCG@10 and milliseconds of each request, one at a time, float64 ``[requests]`` each."""
    quality, times = [], []
    for request in requests:
        with live.use() as cascade:
            begun = time.perf_counter()
            ranking = cascade.rank(request.question, request.documents)
            times.append((time.perf_counter() - begun) * 1e3)
        quality.append(ndcg(request.relevant, [hit.id for hit in ranking], 10))
    return np.array(quality), np.array(times)


def swap_under_load(live: Live, config: CascadeConfig, requests: Sequence[Request]) -> tuple[dict[str, int], list[str]]:
    """Swap while another thread keeps asking; requests answered by each model, and what ``swap`` returns."""
    answered: dict[str, int] = {}
    failures: list[BaseException] = []
    begun, swapped, done = threading.Event(), threading.Event(), threading.Event()

    def traffic() -> None:
        try:
            for number in range(1 << 30):
                last = swapped.is_set()  # read before the request: this one is answered by the new model
                with live.use() as cascade:
                    begun.set()
                    request = requests[number % len(requests)]
                    cascade.rank(request.question, request.documents)
                    name = cascade.names[0]
                    answered[name] = answered.get(name, 0) + 1
                if last:
                    break
        except BaseException as error:  # noqa: BLE001  handed to the caller below
            failures.append(error)
        finally:
            begun.set()
            done.set()

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        begun.wait()
        unchecked = live.swap(config)
    finally:
        swapped.set()
        done.wait()
        thread.join()
    if failures:
        raise failures[0]
    return answered, unchecked


def config_of(model: str) -> CascadeConfig:
    return CascadeConfig((Stage(model, keep=KEEP),))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default="minilm-ce-small", metavar="MODEL", help="folder or installed name")
    parser.add_argument("--after", default="minilm-ce-large", metavar="MODEL", help="what takes its place")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--candidates", type=int, default=20)
    options = parser.parse_args(arguments)
    requests = read_requests(options.questions, options.candidates)
    live = Live(Cascade(config_of(options.before)))
    try:
        measured = []
        with live.use() as cascade:
            cascade.warm_up()
        for turn, model in enumerate((options.before, options.after)):
            if turn:
                answered, unchecked = swap_under_load(live, config_of(model), requests)
                shown = ", ".join(f"{count} by {name}" for name, count in answered.items())
                print(f"swapped while requests were served: {shown}; none failed")
                if unchecked:
                    print(f"note: no golden scores in the manifest of {', '.join(unchecked)}; export it again")
            quality, times = measure(live, requests)
            measured.append((quality, times))
            median, late = np.quantile(times, (0.5, 0.95))
            print(f"{model}: nDCG@10 {quality.mean():.4f}, median {median:.1f} ms, P95 {late:.1f} ms")
        gain, ratio = measured[1][0] - measured[0][0], measured[1][1] / measured[0][1]
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan
        low, middle, high = np.quantile(ratio, (0.25, 0.5, 0.75))
        print(
            f"after - before, {len(requests)} questions, {options.candidates} candidates each: nDCG@10 "
            f"{gain.mean():+.4f} ± {error:.4f} (standard error), time x {middle:.2f} ({low:.2f}-{high:.2f})"
        )
    finally:
        live.close()


if __name__ == "__main__":
    main()
