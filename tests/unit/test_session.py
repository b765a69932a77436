"""Sessions: what is really used, running over bound buffers, side by side, and ending early."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cascaderank.errors import ProviderError
from cascaderank.model import load_spec
from cascaderank.providers import SessionOptions, check_assignment
from cascaderank.session import BoundRunner, Cancellation, Cancelled, DirectRunner, Session, SharedOptions
from graphs import make_slow
from tiny import VOCABULARY, make_cross_encoder, make_encoder

CPU = SessionOptions("cpu")


def tensors(rows: int, width: int, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Random rows of random lengths, as packing would write them: pads last, masked."""
    ids = generator.integers(0, len(VOCABULARY), (rows, width))
    mask = (np.arange(width) < generator.integers(1, width + 1, (rows, 1))).astype(np.int64)
    types = generator.integers(0, 2, (rows, width))
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types * mask}


def test_the_cpu_is_used_when_asked_for(models: Path) -> None:
    session = Session(load_spec(models / "ce"), CPU)
    assert session.provider == "cpu"
    assert session.parallel
    assert session.note == ""
    assert session.output_rank == 2
    assert Session(load_spec(models / "late"), CPU).output_rank == 3


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this machine has CUDA")
def test_auto_without_cuda_is_the_cpu_and_cuda_is_an_error(models: Path) -> None:
    spec = load_spec(models / "ce")
    assert Session(spec, SessionOptions("auto")).provider == "cpu"
    with pytest.raises(ProviderError, match="has only"):
        Session(spec, SessionOptions("cuda"))


def test_a_run_returns_the_output(models: Path) -> None:
    session = Session(load_spec(models / "ce"), CPU)
    word = VOCABULARY["red"]
    ids = np.array([[2, word, 3, word, word, 3]])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.array([[0, 0, 0, 1, 1, 1]])}
    with session.lease() as runner:
        found = runner.run(feed, Cancellation().options())
    assert found.dtype == np.float32
    assert found.tolist() == [[2.0]]


def test_leases_work_side_by_side(models: Path) -> None:
    """On a CPU no lease waits for another: all are held at once."""
    session = Session(load_spec(models / "ce"), CPU)
    together = threading.Barrier(4, timeout=10)
    found: list[list[list[float]]] = []

    def work(seed: int) -> None:
        feed = tensors(3, 5, np.random.default_rng(seed))
        with session.lease() as runner:
            together.wait()
            found.append(runner.run(feed, Cancellation().options()).tolist())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4


@pytest.mark.parametrize("kind", ["cross_encoder", "two columns", "bi_encoder", "late_interaction"])
def test_bound_buffers_equal_plain_runs_over_random_buckets(tmp_path: Path, kind: str) -> None:
    """The device path on the CPU: 300 runs over buckets that come and go, rows that are no power of two included. A
    result is compared before the next run: on the CPU it is a view of the bucket."""
    folder = tmp_path / "model"
    if kind == "bi_encoder":
        make_encoder(folder)
    elif kind == "late_interaction":
        make_encoder(folder, kind)
    else:
        make_cross_encoder(folder, graph={"columns": 2 if kind == "two columns" else 1})
    spec = load_spec(folder)
    inner = onnxruntime.InferenceSession(spec.model_file.read_bytes(), providers=["CPUExecutionProvider"])
    bound = BoundRunner(inner, spec.input.names, spec.output.name, "cpu", 0, spec)
    direct = DirectRunner(inner, spec.input.names, spec.output.name)
    generator = np.random.default_rng(11)
    options = Cancellation().options()
    for _ in range(300):
        feed = tensors(int(generator.integers(1, 18)), int(generator.choice([4, 8, 12, 32])), generator)
        result, expected = bound.run(feed, options), direct.run(feed, options)
        assert result.shape == expected.shape
        np.testing.assert_array_equal(result, expected)


def test_bound_buffers_take_strided_views(models: Path) -> None:
    spec = load_spec(models / "ce")
    inner = onnxruntime.InferenceSession(spec.model_file.read_bytes(), providers=["CPUExecutionProvider"])
    bound = BoundRunner(inner, spec.input.names, spec.output.name, "cpu", 0, spec)
    feed = tensors(4, 8, np.random.default_rng(2))
    options = Cancellation().options()
    strided = {role: np.repeat(array, 2, axis=1)[:, ::2] for role, array in feed.items()}
    found = bound.run(strided, options).tolist()
    assert found == bound.run(feed, options).tolist()


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = make_slow(tmp_path_factory.mktemp("session") / "slow", matmuls=600, size=512)
    return Session(load_spec(folder), CPU)


def test_cancelling_ends_a_run_in_progress(slow: Session) -> None:
    feed = tensors(1, 8, np.random.default_rng(1))
    cancellation = Cancellation()
    timer = threading.Timer(0.1, cancellation.cancel)
    started = time.perf_counter()
    timer.start()
    with slow.lease() as runner, pytest.raises(Cancelled):
        runner.run(feed, cancellation.options())
    assert time.perf_counter() - started < 2.0  # the whole run takes several seconds
    timer.join()


def test_a_cancelled_request_starts_no_run(slow: Session) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with slow.lease() as runner, pytest.raises(Cancelled):
        runner.run(tensors(1, 8, np.random.default_rng(1)), cancellation.options())


def test_cancelling_one_request_leaves_others_alone(models: Path) -> None:
    session = Session(load_spec(models / "ce"), CPU)
    ended, other = Cancellation(), Cancellation()
    ended.options()
    options = other.options()
    ended.cancel()
    with session.lease() as runner:
        assert runner.run(tensors(2, 4, np.random.default_rng(0)), options).shape == (2, 1)


def test_an_error_of_the_model_is_raised_once_and_as_it_is(models: Path) -> None:
    """A run that fails for another reason is no cancellation, and nothing is tried again."""
    session = Session(load_spec(models / "bi"), CPU)
    feed = tensors(1, 4, np.random.default_rng(0))
    feed["input_ids"] = np.full((1, 4), 10_000)  # outside the embedding table
    with session.lease() as runner, pytest.raises(Exception, match="indices element out of data bounds"):
        runner.run(feed, Cancellation().options())


def test_threads_and_spinning_change_no_result(models: Path) -> None:
    spec = load_spec(models / "bi")
    feed = tensors(5, 16, np.random.default_rng(4))
    results = []
    for options in (CPU, SessionOptions("cpu", threads=2), SessionOptions("cpu", threads=2, spinning=True)):
        with Session(spec, options).lease() as runner:
            results.append(runner.run(feed, Cancellation().options()))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


CUDA = "CUDAExecutionProvider"


def test_arithmetic_left_on_the_cpu_is_no_gpu_session() -> None:
    """Shape nodes may stay on the CPU; a matrix product may not, or CUDA would be asked for and the CPU got."""
    check_assignment("m", CUDA, [("MatMul", CUDA), ("Shape", "CPUExecutionProvider"), ("Gather", CUDA)])
    check_assignment("m", CUDA, [])
    with pytest.raises(ProviderError, match=r"(?s)'m'.*no kernels for MatMulInteger.*--precision fp16"):
        check_assignment("m", CUDA, [("MatMulInteger", "CPUExecutionProvider"), ("Add", CUDA)])


def test_a_shared_run_ends_once_all_its_requests_are_cancelled() -> None:
    first, second, before = Cancellation(), Cancellation(), Cancellation()
    before.cancel()
    with SharedOptions([first, second, second, before]) as options:
        assert not options.terminate
        first.cancel()
        first.cancel()
        assert not options.terminate
        second.cancel()
        assert options.terminate
    with SharedOptions([before]) as options:
        assert options.terminate
    later = Cancellation()
    with SharedOptions([later]) as options:
        pass
    later.cancel()
    assert not options.terminate
