"""What both cross-encoders are trained and judged on: graded lists, mined groups, and dev lists."""

from __future__ import annotations

import argparse
from itertools import islice

import numpy as np

from exporting.pair_head import PairModel
from texts.data import read_collection
from texts.lists import read_lists
from texts.pairs import PairEncoder, clean_tokenizer
from training.groups import Group, graded_groups
from training.lessons import dev_ndcg
from training.mining import COLLECTIONS, mined_groups, open_mine
from training.retrieved import retrieved_groups

LISTED, MINED, RETRIEVED = 12, 8, 10  # rows of a graded list (of 16), of a mined and of a retrieved group
OTHERS = ("selqa", "trecqa", "msmarco-dev600")  # dev parts of collections that the small one is not trained on


class Curriculum:
    """Two thirds of a step are graded lists (the public ones and this project's own), a third questions with one
    known answer and hard negatives by BM25 and the bi-encoder. With a teacher half of a step is such a first stage's
    candidates without grades, and dev has collections that it is not trained on."""

    def __init__(self, options: argparse.Namespace, *, taught: bool = False) -> None:
        self._options, self._taught = options, taught
        self._encoder = PairEncoder(clean_tokenizer(options.bi / "tokenizer.json"))
        self._train, self._dev = (
            [read_collection(options.data, "graded-lists", split), read_lists(options.data, split, options.lists)]
            for split in ("train", "dev")
        )
        self._mines = [
            open_mine(options.data, name, options.bi, options.cache, options.passages) for name in COLLECTIONS
        ]
        if taught:
            self._dev += [read_collection(options.data, name, "dev") for name in OTHERS]
            more = open_mine(options.data, "squad-sentences", options.bi, options.cache, options.passages)
            self._pools = [*self._mines, more]
        self.start(0)

    def start(self, pairs: int) -> None:
        """Begin to draw; a run resumed after `pairs` draws other groups than before the stop, not the same again."""
        seed = self._options.seed
        self._graded = graded_groups(self._train, self._encoder, LISTED, np.random.default_rng([seed, 2, pairs]))
        self._mined = mined_groups(self._mines, self._encoder, MINED, np.random.default_rng([seed, 3, pairs]))
        if self._taught:
            rng = np.random.default_rng([seed, 4, pairs])
            self._retrieved = retrieved_groups(self._pools, self._options.bi, self._encoder, RETRIEVED, rng)

    def groups(self) -> list[Group]:
        """One step's groups."""
        if self._taught:
            return [*islice(self._graded, 2), *islice(self._mined, 1), *islice(self._retrieved, 4)]
        (a, b, c, d), (e, f) = islice(self._graded, 4), islice(self._mined, 2)
        return [a, e, b, c, f, d]

    def examples(self, count: int = 16) -> list[Group]:
        """Some graded lists to fit or to prune a start with."""
        rng = np.random.default_rng([self._options.seed, 1])
        return list(islice(graded_groups(self._train, self._encoder, LISTED, rng), count))

    def dev(self, model: PairModel) -> dict[str, float]:
        """nDCG@10 per source of dev lists."""
        count, threads = self._options.dev_lists, self._options.threads
        return {lists.name: dev_ndcg(model, lists, lists.sample(count), self._encoder, threads) for lists in self._dev}
