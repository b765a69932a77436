"""OpenVINO: refused where it is not, and where it is, the same scores as the CPU provider, alone and side by side."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from cascaderank.cascade import Cascade
from cascaderank.config import Stage
from cascaderank.errors import ConfigError, ModelError, ProviderError
from cascaderank.model import load_spec
from cascaderank.processor import has_bf16, openvino_settings, processor_flags
from cascaderank.providers import SessionOptions, available_providers, check_assignment, create_session
from cascaderank.session import Cancellation, Cancelled, Session
from decoder_graph import make_decoder
from graphs import make_attention
from tiny import VOCABULARY

INSTALLED = "openvino" in available_providers()
needs = pytest.mark.skipif(not INSTALLED, reason="this ONNX Runtime has no OpenVINO; onnxruntime-openvino has")
OPENVINO = SessionOptions("openvino")
OV = "OpenVINOExecutionProvider"


def rows(count: int, width: int, seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    mask = (np.arange(width) < generator.integers(1, width + 1, (count, 1))).astype(np.int64)
    ids = generator.integers(0, len(VOCABULARY), (count, width))
    types = generator.integers(0, 2, (count, width))
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types * mask}


@pytest.fixture(scope="module")
def attention(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_attention(tmp_path_factory.mktemp("openvino") / "attention")


@pytest.mark.skipif(INSTALLED, reason="this ONNX Runtime has OpenVINO: what happens without it cannot be seen here")
def test_without_openvino_it_is_an_error_that_says_what_to_install(models: Path) -> None:
    with pytest.raises(ProviderError, match=r"(?s)'ce'.*'openvino' was asked for.*cascaderank\[openvino\].*'cpu'"):
        Cascade([Stage(models / "ce", keep=1, provider="openvino")])


def test_bf16_is_for_openvino_alone(models: Path) -> None:
    for provider in ("cpu", "cuda", "auto"):
        with pytest.raises(ConfigError, match=r"stage '.*ce': precision 'bf16' needs provider 'openvino'"):
            Stage(models / "ce", keep=1, precision="bf16", provider=provider)
    with pytest.raises(ProviderError, match=r"'ce': bf16 is computed by provider 'openvino' alone"):
        create_session(load_spec(models / "ce"), SessionOptions("cpu", bf16=True), "cpu")


def test_bf16_is_made_of_an_fp32_folder(tmp_path: Path) -> None:
    folder = make_attention(tmp_path / "int8", int8=True)
    with pytest.raises(ModelError, match=r"precision 'bf16' was asked for, .* holds int8"):
        Cascade([Stage(folder, keep=1, precision="bf16", provider="openvino")])


def test_arithmetic_left_to_another_provider_is_refused() -> None:
    check_assignment("m", OV, [("MatMul", OV), ("Gather", "CPUExecutionProvider")])
    with pytest.raises(ProviderError, match=r"(?s)'m': OpenVINO\w+ has no kernels for MatMul, .* provider = 'cpu'"):
        check_assignment("m", OV, [("MatMul", "CPUExecutionProvider"), ("Add", OV)])


def test_settings_say_the_precision_and_leave_room_side_by_side() -> None:
    """Its own default is bf16 where the processor has it, and one stream would make leases wait for each other."""
    single, double = openvino_settings(1, False), openvino_settings(2, True)
    assert '"f32"' in single["load_config"]
    assert '"bf16"' in double["load_config"]
    assert single["num_streams"] == single["num_of_threads"]
    assert int(double["num_of_threads"]) == 2 * int(double["num_streams"])


@needs
@pytest.mark.skipif(has_bf16(), reason="this processor has bf16: its refusal cannot be seen here")
def test_bf16_on_a_processor_without_it_is_an_error(attention: Path) -> None:
    with pytest.raises(ProviderError, match="neither avx512_bf16 nor amx_bf16; set precision = 'fp32'"):
        Cascade([Stage(attention, keep=1, precision="bf16", provider="openvino")])


@needs
@pytest.mark.skipif(not has_bf16(), reason=f"this processor ({', '.join(processor_flags())}) has no bf16")
def test_bf16_is_near_fp32(attention: Path) -> None:
    documents = ["red cat", "dog", "green fish one"]
    found = []
    for precision in ("fp32", "bf16"):
        with Cascade([Stage(attention, keep=3, precision=precision, provider="openvino")]) as cascade:
            found.append(cascade.rank("red dog", documents).values)
    np.testing.assert_allclose(found[1], found[0], atol=0.05)


@needs
def test_scores_equal_the_cpu_providers_alone_and_together(attention: Path) -> None:
    """Also beside others in one run: fp32 is invariant to its neighbours within the promise's 1e-5."""
    spec = load_spec(attention)
    session, cpu = Session(spec, OPENVINO), Session(spec, SessionOptions("cpu"))
    assert (session.provider, session.parallel) == ("openvino", True)
    together = rows(9, 24, 1)
    options = Cancellation().options()
    with session.lease() as runner, cpu.lease() as other:
        whole = runner.run(together, options)
        np.testing.assert_allclose(whole, other.run(together, options), atol=1e-5)
        for row in range(9):
            width = int(together["attention_mask"][row].sum())
            alone = runner.run({role: array[row : row + 1, :width] for role, array in together.items()}, options)
            np.testing.assert_allclose(alone[0], whole[row], atol=1e-5)


@needs
def test_leases_side_by_side_give_what_one_gives(attention: Path) -> None:
    session = Session(load_spec(attention), OPENVINO)
    feeds = [rows(1, width, width) for width in range(2, 18)]
    with session.lease() as runner:
        expected = [runner.run(feed, Cancellation().options()).item() for feed in feeds]
    found: list[list[float]] = []

    def work() -> None:
        with session.lease() as runner:
            found.append([runner.run(feed, Cancellation().options()).item() for feed in feeds])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@needs
def test_a_cascade_ranks_with_it_as_with_the_cpu(models: Path, tmp_path: Path) -> None:
    """Cross-encoder, bi-encoder, late interaction and a decoder that shares a prefix."""
    documents = ["red cat dog", "cat", "green fish", "two red", "blue"]
    for folder in (models / "ce", models / "bi", models / "late", make_decoder(tmp_path / "decoder")):
        answers = []
        for provider in ("cpu", "openvino"):
            with Cascade([Stage(folder, keep=5, provider=provider)]) as cascade:
                ranking = cascade.rank("red cat", documents)
            assert ranking.trace.stages[0].provider == provider
            answers.append(ranking)
        assert answers[0].order.tolist() == answers[1].order.tolist(), folder
        np.testing.assert_allclose(answers[1].values, answers[0].values, atol=1e-5)


@needs
def test_a_cancelled_request_starts_no_run(attention: Path) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with Session(load_spec(attention), OPENVINO).lease() as runner, pytest.raises(Cancelled):
        runner.run(rows(1, 8, 0), cancellation.options())
