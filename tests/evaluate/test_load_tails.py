"""Percentiles, the interval of a P99, and the percentile file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascaderank.evaluate.load.tails import ENOUGH_FOR_P99, p99_interval, tail, write_hgrm


def test_percentiles_are_measured_values() -> None:
    found = tail(np.arange(1, 1001, dtype=np.float64))
    assert found is not None
    assert [found[key] for key in ("p50", "p95", "p99", "p999", "max")] == [500, 950, 990, 999, 1000]
    assert tail([]) is None


def test_the_interval_holds_what_it_says() -> None:
    """120 runs of 600 independent exponential times: the true P99, ln(100), is in some 95 % of their
    intervals (four standard errors allowed)."""
    generator = np.random.default_rng(1)
    truth = np.log(100)
    inside = 0
    for _ in range(120):
        interval = p99_interval(generator.exponential(1.0, 600))
        assert interval is not None
        inside += interval[0] <= truth <= interval[1]
    assert 104 <= inside < 120


def test_neighbours_that_share_a_stall_widen_the_interval() -> None:
    """The same values, shuffled and in one piece: 30 slow ones in a row are one event, 30 here and there are many."""
    values = np.concatenate([np.full(985, 1.0), np.full(15, 100.0)]) + np.arange(1000) * 1e-6
    shuffled = np.random.default_rng(0).permutation(values)
    in_a_row, spread_out = p99_interval(values), p99_interval(shuffled)
    assert in_a_row is not None
    assert spread_out is not None
    assert in_a_row[0] < 2.0  # another run might have had no stall at all
    assert spread_out[1] > 90.0
    assert p99_interval(values[: ENOUGH_FOR_P99 - 1]) is None


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_percentile_file(tmp_path: Path, count: int) -> None:
    """Read as plotters read it: every line's value is that share's nearest rank, the last one is the maximum."""
    values = np.random.default_rng(2).gamma(2.0, 50.0, count)
    path = tmp_path / "latency.hgrm"
    write_hgrm(path, values.tolist())
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    rows = [[float(cell) for cell in line.split()] for line in lines[2:] if not line.startswith("#")]
    ordered = np.sort(values)
    for value, share, place, *_ in rows:
        assert value == pytest.approx(ordered[max(int(np.ceil(share * count)), 1) - 1], abs=5e-4)
        assert value == pytest.approx(ordered[int(place) - 1], abs=5e-4)
    assert [row[1] for row in rows] == sorted({row[1] for row in rows})
    assert rows[-1][:3] == [pytest.approx(ordered[-1], abs=5e-4), 1.0, count]
    assert len(rows[-1]) == 3  # 1 / 0 is left out
    assert f"Total count    = {count:12d}" in "\n".join(lines)


def test_percentile_file_of_nothing(tmp_path: Path) -> None:
    write_hgrm(tmp_path / "none.hgrm", [])
    assert "Total count    =            0" in (tmp_path / "none.hgrm").read_text(encoding="utf-8")
