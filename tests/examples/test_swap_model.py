"""The example that swaps a model: no request fails or sees two cascades, a bad model changes nothing, and it runs."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from cascaderank import Cascade, CascadeConfig, CascadeError, ModelError, Stage
from cascaderank.model import installed_models
from tiny import make_cross_encoder

FILE = Path(__file__).resolve().parents[2] / "examples" / "swap_model.py"
DOCUMENTS = ["red cat", "dog", "red red"]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("swap_model", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["swap_model"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def config(folder: Path) -> CascadeConfig:
    return CascadeConfig((Stage(folder, keep=3),))


def test_requests_go_on_while_models_change(example: ModuleType, tmp_path: Path) -> None:
    """The models score everything by 0 or by 100 more, so that a ranking by both would show."""
    folders = [make_cross_encoder(tmp_path / f"m{bias}", graph={"bias": bias}, name=f"m{bias}") for bias in (0, 100)]
    live = example.Live(Cascade(config(folders[0])))
    seen: set[tuple[str, bool]] = set()
    failures: list[BaseException] = []
    stop = threading.Event()

    def ask() -> None:
        try:
            while not stop.is_set():
                with live.use() as cascade:
                    name = cascade.names[0]
                    scores = [hit.score for hit in cascade.rank("red", DOCUMENTS)]
                for score in scores:
                    assert score is not None
                    seen.add((name, score >= 100))
        except BaseException as error:  # noqa: BLE001  raised below
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    olds = []
    try:
        for turn in range(6):
            with live.use() as cascade:
                olds.append(cascade)
            assert live.swap(config(folders[(turn + 1) % 2])) == [f"m{(0, 100)[(turn + 1) % 2]}"]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        live.close()
    assert not failures, failures[0]
    assert seen == {("m0", False), ("m100", True)}
    for old in olds:
        with pytest.raises(CascadeError, match="closed"):
            old.rank("red", DOCUMENTS)


def test_a_bad_model_changes_nothing(example: ModuleType, tmp_path: Path) -> None:
    live = example.Live(Cascade(config(make_cross_encoder(tmp_path / "good"))))
    damaged = make_cross_encoder(tmp_path / "bad")
    (damaged / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="sha256"):
        live.swap(config(damaged))
    with live.use() as cascade:
        assert cascade.models[0].folder == tmp_path / "good"
        assert len(cascade.rank("red", DOCUMENTS)) == 3
    live.close()


@pytest.mark.skipif(
    "minilm-ce-small" not in installed_models(), reason="needs the shipped models: pip install ./models"
)
def test_it_runs_and_says_what_changed(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(["--before", "minilm-ce-small", "--after", "minilm-bi", "--questions", "3", "--candidates", "4"])
    shown = capsys.readouterr().out
    assert "minilm-ce-small: nDCG@10 0." in shown
    assert "by minilm-bi; none failed" in shown
    assert "after - before, 3 questions, 4 candidates each: nDCG@10 " in shown
