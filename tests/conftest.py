"""Fixed seeds, and the synthetic model folders that several tests share (read-only: a test that changes one makes its
own)."""

from __future__ import annotations

import threading
from pathlib import Path

import hypothesis
import pytest

from graphs import make_slow
from tiny import make_cross_encoder, make_encoder

# The same examples on every run; a failure prints the example that shows it.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=100, print_blob=True)
hypothesis.settings.load_profile("fixed")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of model folders: ce (counts equal words), ce2 (two columns), bi (mean), late (MaxSim)."""
    base = tmp_path_factory.mktemp("models")
    make_cross_encoder(base / "ce")
    make_cross_encoder(base / "ce2", graph={"columns": 2})
    make_encoder(base / "bi")
    make_encoder(base / "late", "late_interaction")
    return base


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The counting cross-encoder, slowed to some milliseconds a run, which a terminate flag ends in the middle."""
    return make_slow(tmp_path_factory.mktemp("slow") / "slow")


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Starting a thread fails as it does at the system's limit, until ``undo``."""

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    return monkeypatch
