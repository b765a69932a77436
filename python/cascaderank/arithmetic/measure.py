"""Time, scores and nDCG@10 of a model's variants, side by side on this processor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascaderank.arithmetic.variants import Variant
from cascaderank.errors import InputError, ProviderError
from cascaderank.evaluate.metrics import bootstrap_interval, ndcg
from cascaderank.evaluate.requests import Request
from cascaderank.export.agreement import kendall_tau
from cascaderank.export.engine import Engine, Float32
from cascaderank.export.pairs import random_lists
from cascaderank.export.speed import make_row
from cascaderank.session import Cancellation

Progress = Callable[[int, int], None]
TOKENS = (32, 64, 128, 256)
ROUNDS, LEAST, WARM = 30, 5, 2
LIMIT_S = 30.0  # for the times of one stage; fewer rounds, but at least LEAST, where a row takes long


@dataclass(frozen=True, slots=True)
class Loss:
    """nDCG@10 of ``queries`` reranked lists, and how much of the reference's is lost (negative: gained), with the 95 %
    paired bootstrap interval of that."""

    queries: int
    ndcg_10: float
    mean: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of a variant beside the reference, which has 1, 0, 0 and 1.

    ``ms`` are medians of a row by its tokens. ``ratio`` is the quartiles over rounds of the reference's time over its,
    all lengths together. Differences are of raw logits, ``tau`` is the mean tau-b within lists. ``loss`` is None
    without labelled data. ``refused`` says why it does not run here; then there are no figures.
    """

    variant: Variant
    ms: Mapping[int, float]
    ratio: tuple[float, float, float]
    max_abs_diff: float
    mean_abs_diff: float
    tau: float
    loss: Loss | None
    refused: str = ""


def measure_variants(
    variants: Sequence[Variant],
    requests: Sequence[Request] = (),
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    progress: Progress | None = None,
) -> tuple[Variant, list[Figures]]:
    """The reference, which is fp32 on the CPU provider or the present one where there is none, and figures of all.

    One row a run, one thread; in each round every variant runs every length, another one first each time. Without
    ``requests`` scores are compared on fixed lists, and quality stays unknown. Raises ``InputError`` where fewer than
    two queries fit the model, ``ProviderError`` where the reference itself does not run here.
    """
    reference = next((v for v in variants if (v.precision, v.provider) == ("fp32", "cpu")), variants[0])
    engines: dict[Variant, Engine] = {}
    refused: dict[Variant, str] = {}
    with ExitStack() as stack:
        for variant in variants:
            try:
                engine = Engine(variant.folder, workers=1, provider=variant.provider, precision=variant.precision)
            except ProviderError as error:
                if variant == reference:
                    raise
                refused[variant] = str(error)
            else:
                engines[variant] = stack.enter_context(engine)
        lists = _lists(engines[reference], requests)
        times = _time(engines)
        scores = _score(engines, lists, progress)
    base = times[reference].sum(axis=1)
    lengths = _lengths(engines[reference])
    found = []
    for variant in variants:
        if variant in refused:
            nothing = (math.nan, math.nan, math.nan)
            found.append(Figures(variant, {}, nothing, math.nan, math.nan, math.nan, None, refused[variant]))
            continue
        lower, middle, upper = np.quantile(base / times[variant].sum(axis=1), (0.25, 0.5, 0.75)).tolist()
        differences = [np.abs(a - b) for a, b in zip(scores[variant], scores[reference], strict=True)]
        flat = np.concatenate(differences)
        taus = [kendall_tau(a, b) for a, b in zip(scores[variant], scores[reference], strict=True)]
        taus = [tau for tau in taus if not math.isnan(tau)]
        found.append(
            Figures(
                variant,
                dict(zip(lengths, (np.median(times[variant], axis=0) * 1e3).tolist(), strict=True)),
                (lower, middle, upper),
                float(flat.max()),
                float(flat.mean()),
                sum(taus) / len(taus) if taus else math.nan,
                None if qrels is None else _lose(lists, scores[variant], scores[reference], qrels),
            )
        )
    return reference, found


@dataclass(frozen=True, slots=True)
class _List:
    """A query and the documents it is scored with; ``ids`` are empty where nothing is judged."""

    query_id: str
    query: str
    texts: tuple[str, ...]
    ids: tuple[str, ...] = ()


def _lists(engine: Engine, requests: Sequence[Request]) -> list[_List]:
    limit = engine.query_limit()
    if not requests:
        grouped: dict[str, list[str]] = {}
        for query, text in random_lists(engine.count_tokens, limit):
            grouped.setdefault(query, []).append(text)
        return [_List("", query, tuple(texts)) for query, texts in grouped.items()]
    found = [
        _List(item.query_id, item.query, tuple(document.text for document in item.documents), item.ids)
        for item in requests
        if item.ids and engine.count_tokens(item.query) <= limit
    ]
    if len(found) < 2:
        raise InputError(
            f"{len(found)} queries with candidates that fit {engine.spec.name!r}; a loss needs two or more"
        )
    return found


def _lengths(engine: Engine) -> list[int]:
    longest = engine.spec.max_length
    return sorted({min(tokens, longest) for tokens in TOKENS})


def _time(engines: Mapping[Variant, Engine]) -> dict[Variant, NDArray[np.float64]]:
    """Seconds float64 ``[rounds, lengths]`` of each variant."""
    order = list(engines)
    first = engines[order[0]]
    rows = [make_row(first, tokens) for tokens in _lengths(first)]
    options = Cancellation().options()
    rounds: list[list[list[float]]] = []
    with ExitStack() as stack:
        runners = [stack.enter_context(engines[variant].part.session.lease()) for variant in order]
        started = time.perf_counter()
        for turn in range(WARM + ROUNDS):
            if turn >= WARM + LEAST and time.perf_counter() - started > LIMIT_S:
                break
            taken = [[0.0] * len(rows) for _ in order]
            for column, row in enumerate(rows):
                for step in range(len(order)):
                    place = (step + turn) % len(order)
                    begun = time.perf_counter()
                    runners[place].run(row, options)
                    taken[place][column] = time.perf_counter() - begun
            rounds.append(taken)
    measured = np.array(rounds[WARM:])
    return {variant: measured[:, place] for place, variant in enumerate(order)}


def _score(
    engines: Mapping[Variant, Engine], lists: Sequence[_List], progress: Progress | None
) -> dict[Variant, list[Float32]]:
    found: dict[Variant, list[Float32]] = {variant: [] for variant in engines}
    for number, item in enumerate(lists, start=1):
        for variant, engine in engines.items():
            found[variant].append(engine.rank_logits(item.query, item.texts))
        if progress is not None:
            progress(number, len(lists))
    return found


def _lose(
    lists: Sequence[_List], scores: Sequence[Float32], before: Sequence[Float32], qrels: Mapping[str, Mapping[str, int]]
) -> Loss:
    values = np.array(
        [
            [ndcg(qrels[item.query_id], [item.ids[place] for place in np.argsort(-s, kind="stable")]) for s in both]
            for item, *both in zip(lists, scores, before, strict=True)
        ]
    )
    lost = values[:, 1] - values[:, 0]
    return Loss(len(lists), float(values[:, 0].mean()), float(lost.mean()), bootstrap_interval(lost))
