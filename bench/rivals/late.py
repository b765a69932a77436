"""MaxSim of one query with documents of different lengths, beside other libraries' and NumPy; vectors are given.

Every answer is compared with the plainest NumPy one first. One thread each; with RAYON_NUM_THREADS=2 maxsim-cpu and our
kernel use two.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from measure import alternate, bar, bar_line, speedup, spread, table

from cascaderank.kernels import maxsim

QUERY_TOKENS, DIMENSION = 32, 128
SHAPES = {"100 documents of 120 to 240": (100, 120, 240), "1000 documents of 20 to 300": (1000, 20, 300)}
OURS, REFERENCE, PLAIN = "cascaderank", "NumPy, padded einsum", "NumPy, per document"
_TOLERANCE = 1e-3  # sums of 32 products of fp32 unit vectors
Call = Callable[[], np.ndarray]


class Documents:
    """Unit vectors of a query and of ragged documents, in each layout somebody takes."""

    def __init__(self, count: int, low: int, high: int, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        self.lengths = random.integers(low, high + 1, count)
        self.cu_seqlens = np.concatenate([[0], np.cumsum(self.lengths)])
        self.tokens = _unit(random, int(self.cu_seqlens[-1]))
        self.query = _unit(random, QUERY_TOKENS)
        bounds = self.cu_seqlens.tolist()
        self.each = [self.tokens[start:stop] for start, stop in itertools.pairwise(bounds)]

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 ``[documents, longest, dimension]`` and a mask that is true where there is a token."""
        longest = int(self.lengths.max())
        mask = np.arange(longest) < self.lengths[:, None]
        values = np.zeros((len(self.lengths), longest, DIMENSION), np.float32)
        values[mask] = self.tokens
        return values, mask


def _unit(random: np.random.Generator, count: int) -> np.ndarray:
    values = random.standard_normal((count, DIMENSION)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def ours(documents: Documents, threads: int) -> Call:
    """Our kernel over shares of the documents, one per thread; it releases the interpreter while it computes."""
    attended, none = np.ones(QUERY_TOKENS, np.int64), np.empty(0, np.int64)
    shares = np.array_split(np.arange(len(documents.lengths)), threads)
    pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def part(rows: np.ndarray) -> np.ndarray:
        out = np.empty(len(rows), np.float32)
        maxsim(documents.query, attended, documents.tokens, none, documents.cu_seqlens, rows, False, out)
        return out

    if pool is None:
        return lambda: part(shares[0])
    return lambda: np.concatenate(list(pool.map(part, shares)))


def numpy_ways(documents: Documents) -> dict[str, Call]:
    query, tokens, starts = documents.query, documents.tokens, documents.cu_seqlens[:-1]
    padded, mask = documents.padded()

    def einsum() -> np.ndarray:
        products = np.einsum("qd,btd->bqt", query, padded)
        return np.where(mask[:, None, :], products, -np.inf).max(axis=2).sum(axis=1)

    return {
        REFERENCE: einsum,
        PLAIN: lambda: np.array([(query @ each.T).max(1).sum() for each in documents.each]),
        "NumPy, one product and reduceat": lambda: np.maximum.reduceat(query @ tokens.T, starts, axis=1).sum(0),
    }


def rivals(documents: Documents) -> tuple[dict[str, Call], list[str]]:
    """Other libraries' calls, and a line for each that is not installed."""
    found: dict[str, Call] = {}
    absent: list[str] = []
    for name, maker in (("maxsim-cpu", _maxsim_cpu), ("NumKong, packed ahead", _numkong), ("pylate", _pylate)):
        try:
            found[name] = maker(documents)
        except ImportError as error:
            absent.append(f"{name}: {error}")
    return found, absent


def _maxsim_cpu(documents: Documents) -> Call:
    import maxsim_cpu

    return lambda: np.asarray(maxsim_cpu.maxsim_scores_variable(documents.query, documents.each))


def _numkong(documents: Documents) -> Call:
    """NumKong sums the smallest angular distances, 1 - cosine, of every query token."""
    import numkong

    query = numkong.maxsim_pack(numkong.Tensor(documents.query), dtype="f32")
    packed = [numkong.maxsim_pack(numkong.Tensor(np.ascontiguousarray(each)), dtype="f32") for each in documents.each]
    return lambda: np.array([QUERY_TOKENS - numkong.maxsim_packed(query, each) for each in packed])


def _pylate(documents: Documents) -> Call:
    """pylate's mask multiplies scores, so padding counts as a similarity of 0; with 20 tokens or more of random unit
    vectors every query token has a positive one, and the answers agree."""
    import torch
    from pylate.scores import colbert_scores

    torch.set_num_threads(1)
    padded, mask = documents.padded()
    query, values, kept = torch.from_numpy(documents.query[None]), torch.from_numpy(padded), torch.from_numpy(mask)
    return lambda: colbert_scores(query, values, documents_mask=kept)[0].numpy()


def late_interaction(repetitions: int) -> dict[str, Any]:
    """Every shape: a table, the promises, and all of it as plain data."""
    threads = int(os.environ["RAYON_NUM_THREADS"])
    results, bars, absent = {}, [], []
    for shape, numbers in SHAPES.items():
        documents = Documents(*numbers)
        others, absent = rivals(documents)
        contenders = {OURS: ours(documents, threads), **others, **numpy_ways(documents)}
        truth = contenders[PLAIN]()
        for name, call in list(contenders.items()):
            apart = float(np.abs(call() - truth).max())
            if apart <= _TOLERANCE:
                continue
            if name not in others:
                raise SystemExit(f"{name}: scores differ by {apart:.2g}, over {_TOLERANCE}; nothing was measured")
            absent.append(f"{name}: its scores differ from MaxSim in fp32 by {apart:.2g}, so its time is of other work")
            del contenders[name]
        seconds = alternate(contenders, repetitions, warm_up=2)
        rows, entries = [("MaxSim", "ms", "quartiles", "its time / ours", "quartiles")], {}
        for name, values in seconds.items():
            ms, ratio = spread(values).scaled(1e3), speedup(seconds, OURS, name)
            rows.append(
                (name, f"{ms.median:.2f}", f"{ms.low:.2f}-{ms.high:.2f}", f"{ratio.median:.2f}",
                 f"{ratio.low:.2f}-{ratio.high:.2f}")
            )  # fmt: skip
            entries[name] = {"ms": [ms.low, ms.median, ms.high], "ratio": [ratio.low, ratio.median, ratio.high]}
        print(f"\n{shape} tokens, query of {QUERY_TOKENS}, {DIMENSION} dimensions; maxsim-cpu and ours on {threads} "
              f"thread(s), the others on one")  # fmt: skip
        print(table(rows))
        if "maxsim-cpu" in entries:
            bars.append(bar(f"{shape}: x maxsim-cpu", entries["maxsim-cpu"]["ratio"][1], 1.0))
        fastest = min(
            (name for name in entries if name.startswith("NumPy")), key=lambda name: entries[name]["ratio"][1]
        )
        bars += [bar(f"{shape}: x {name}", entries[name]["ratio"][1], 5.0) for name in (REFERENCE, fastest)]
        results[shape] = entries
    for line in absent:
        print(f"absent: {line}")
    for entry in bars:
        print(bar_line(entry))
    return {"threads": threads, "late_interaction": results, "absent": absent, "bars": bars}
