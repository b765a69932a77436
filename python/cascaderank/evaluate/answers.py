"""What one or more cascades make of every request: the order after each stage, who went on, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cascaderank.cascade import Cascade
from cascaderank.evaluate.quality import StageOrders, stage_orders
from cascaderank.evaluate.requests import Request, ranked_ids
from cascaderank.results import Trace
from cascaderank.store import Store

Progress = Callable[[int, int], None]
_WARM_UP = 2  # requests answered before the first one that counts


@dataclass(frozen=True, slots=True)
class Answer:
    """One request, answered in full.

    ``orders`` has one entry for the first pass and one per stage: all candidates' ids, best first. ``kept`` says how
    many of each went on. ``ms`` and ``trace`` are of the whole cascade's run, and so are ``logits``: float32
    ``[n, stages]`` in the last entry's order, NaN where a stage did not score.
    """

    query_id: str
    orders: tuple[tuple[str, ...], ...]
    kept: tuple[int, ...]
    ms: float
    trace: Trace
    logits: NDArray[np.float32] | None = None


def answer_all(
    cascades: Sequence[Cascade],
    requests: Sequence[Request],
    stores: Sequence[Store | None],
    progress: Progress | None = None,
) -> list[list[Answer]]:
    """One list of answers per cascade, in the order of ``requests``.

    The cascades take turns on every request, each request another one first, so that a machine that slows down slows
    all of them. Give cascades without a deadline: what is left out in time is no measure of quality.
    """
    found: list[list[Answer]] = [[] for _ in cascades]
    with ExitStack() as open_orders:
        orders = [open_orders.enter_context(stage_orders(cascade)) for cascade in cascades]
        for cascade, store in zip(cascades, stores, strict=True):
            cascade.warm_up()
            for request in requests[:_WARM_UP]:
                request.answer(cascade, store)
        for number, request in enumerate(requests):
            for turn in range(len(cascades)):
                place = (turn + number) % len(cascades)
                found[place].append(_answer(cascades[place], orders[place], request, stores[place]))
            if progress is not None:
                progress(number + 1, len(requests))
    return found


def _answer(cascade: Cascade, orders: StageOrders, request: Request, store: Store | None) -> Answer:
    begun = time.perf_counter()
    ranking = request.answer(cascade, store)
    ms = (time.perf_counter() - begun) * 1e3
    before = orders.find(request.ids, partial(request.answer, store=store))
    after = [*before, ranked_ids(ranking, request.ids)]
    out = [stage.candidates_out for stage in ranking.trace.stages]
    out += [0] * (len(after) - len(out))  # a stage that nobody reached
    return Answer(
        request.query_id,
        (request.ids, *(tuple(order) for order in after)),
        (len(request.ids), *out),
        ms,
        ranking.trace,
        ranking.logits,
    )
