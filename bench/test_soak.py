"""The soak runs, and its arithmetic tells a leak from an allocator's page."""

from __future__ import annotations

import pytest
from soak import KINDS, Mark, growth, soak


def test_every_kind_of_request_comes_and_goes() -> None:
    marks, counts = soak(requests=20 * KINDS, concurrency=4, seconds=0.0, seed=0)
    assert marks[-1].requests == 20 * KINDS
    assert counts["InputError"] == counts["StoreError"] == 20
    cancelled = counts["cancelled"] + counts["answered before it was cancelled"]
    others = sum(counts.values()) - cancelled - counts["InputError"] - counts["StoreError"]
    assert (cancelled, others) == (40, 8 * 20)


@pytest.mark.parametrize(("steps", "least"), [([0, 4096, 0, 0], 0.0), ([900, 1000, 1100, 1000], 9.0)])
def test_growth(steps: list[int], least: float) -> None:
    marks, resident = [], 0
    for number, step in enumerate([10**6, 10**6, 0, *steps]):
        resident += step
        marks.append(Mark(100 * number, 0.0, resident, 0, 0, 0))
    assert growth(marks)["least_bytes_per_request"] == least
