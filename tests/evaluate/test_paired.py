"""The paired test: exact on few queries, and honest on systems that do not differ."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs scipy: pip install 'cascaderank[evaluate]'")

from cascaderank.evaluate.paired import compare


def test_few_queries_are_counted_exactly() -> None:
    """Five differences of one sign: 2 of the 32 signings give as large a mean."""
    found = compare([1.0, 0.9, 0.8, 0.7, 0.6], [0.5] * 5)
    assert found.difference == pytest.approx(0.3)
    assert found.p_value == pytest.approx(2 / 32)
    assert found.interval[0] > 0


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5, 0.5]])
def test_no_difference_is_no_evidence(values: list[float]) -> None:
    found = compare(values, values)
    assert (found.difference, found.interval, found.p_value) == (0.0, (0.0, 0.0), 1.0)


def test_p_values_of_equal_systems_are_small_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    small = sum(compare(*generator.random((2, 30))).p_value <= 0.2 for _ in range(40))
    assert 2 <= small <= 15  # 8 expected; P(outside) < 0.5 % for a right test
