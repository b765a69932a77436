"""The kernels and their rivals under pytest-benchmark: ``pytest bench --benchmark-enable``.

Timings are grouped by what is computed. The answer of every timed call is compared, so a fast wrong kernel fails; no
time does. Ratios measured in alternation, and the promised ones, come from ``kernels.py``.
"""

from __future__ import annotations

from typing import Any

import pytest
from kernel_case import Case
from kernel_cases import cases

_CASES = cases()
_RUNS = [(case, who) for case in _CASES for who in ("cascaderank", *case.others)]


@pytest.mark.parametrize(("case", "who"), _RUNS, ids=[f"{case.name}: {who}" for case, who in _RUNS])
def test_kernel(benchmark: Any, case: Case, who: str) -> None:
    benchmark.group = case.name
    call = case.ours if who == "cascaderank" else case.others[who]
    answer = benchmark(call)
    if who == "cascaderank":
        for rival in case.others.values():
            assert case.same(answer, rival())
    else:
        assert case.same(case.ours(), answer)
