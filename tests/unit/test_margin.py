"""How early a request stops before its deadline."""

from __future__ import annotations

import pytest

from cascaderank.margin import Margin


def test_a_millisecond_before_anything_is_known() -> None:
    assert Margin().of(0.6) == pytest.approx(0.0015)
    assert Margin().of(0.001) == 0.001


def test_half_as_much_again_as_the_longest_of_the_last_requests_is_kept_free() -> None:
    margin = Margin()
    for seconds in (0.004, 0.012, 0.002):
        margin.observe(seconds)
    assert margin.of(0.6) == pytest.approx(0.018)
    for _ in range(256):
        margin.observe(0.003)
    assert margin.of(0.6) == pytest.approx(0.0045)


def test_a_stall_takes_no_more_than_a_twentieth() -> None:
    margin = Margin()
    margin.observe(2.0)
    assert margin.of(0.6) == pytest.approx(0.03)
    assert margin.of(0.01) == 0.001


def test_who_is_done_early_does_not_take_the_least_away() -> None:
    margin = Margin()
    for _ in range(300):
        margin.observe(-0.5)
    assert margin.of(0.6) == pytest.approx(0.0015)
