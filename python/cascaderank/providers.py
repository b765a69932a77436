"""Execution providers: a session on the one that was asked for, or an error that says why not. No silent fallback."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnxruntime

from cascaderank.errors import ModelError, ProviderError
from cascaderank.model import ModelSpec
from cascaderank.processor import has_bf16, openvino_settings, processor_name

EXECUTION_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
HOST_PROVIDERS = ("cpu", "openvino")
"""Those that compute on the processor: single-threaded runs go side by side, one row each."""

_ARITHMETIC = re.compile("MatMul|Gemm|Attention|Softmax|LayerNorm|Gelu|Erf|Conv|Quantize")
_INSTALL = {
    "cuda": "pip install 'cascaderank[gpu]' in place of [cpu], or set provider = 'cpu'",
    "openvino": "pip install 'cascaderank[openvino]' in place of [cpu], or set provider = 'cpu'",
}
_ELSEWHERE = {
    "CUDAExecutionProvider": "a dynamically quantised int8 graph is made for CPUs, export the model with --precision "
    "fp16 for a GPU",
    "OpenVINOExecutionProvider": "set provider = 'cpu' for this model",
}


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """``provider`` is ``cpu``, ``cuda``, ``openvino`` or ``auto``; ``threads`` work inside one run; ``spinning`` lets
    idle ones burn their core for lower latency; ``bf16`` makes OpenVINO compute an fp32 graph in bfloat16."""

    provider: str = "auto"
    device: int = 0
    threads: int = 1
    spinning: bool = False
    bf16: bool = False


def available_providers() -> tuple[str, ...]:
    """Which of ``cpu``, ``cuda`` and ``openvino`` the installed ONNX Runtime has."""
    built_in = onnxruntime.get_available_providers()
    return tuple(name for name, execution in EXECUTION_PROVIDERS.items() if execution in built_in)


def create_session(spec: ModelSpec, options: SessionOptions, provider: str) -> Any:
    """An ``onnxruntime.InferenceSession`` on ``provider``.

    Raises ``ProviderError`` where the provider is not installed, cannot be used or leaves arithmetic to another one,
    or where ``options.bf16`` asks for what provider or processor does not have; ``ModelError`` for a graph that cannot
    be loaded.
    """
    wanted = EXECUTION_PROVIDERS[provider]
    _check_available(spec, options, provider)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 4  # errors come back as exceptions; the library is silent
    settings.add_session_config_entry("session.intra_op.allow_spinning", "1" if options.spinning else "0")
    # x86 without VNNI adds pairs of 8-bit products in 16 bits, which saturate: there logits of the shipped models moved
    # by 0.2 on average (models/recipes/speed.py --saturation). A score must not depend on the processor.
    settings.add_session_config_entry("session.x64quantprecision", "1")
    providers: list[Any] = [wanted]
    if provider != "cpu":
        # Listing a provider proves nothing: creation falls back to the CPU when its libraries do not load or an option
        # is refused, and single nodes may stay there. Refusing every CPU node would refuse the shape arithmetic that
        # ONNX Runtime keeps there on purpose, so where the nodes went is recorded and looked at.
        settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if provider == "cuda":
        # TF32 off: a score must equal the CPU's.
        providers = [(wanted, {"device_id": str(options.device), "use_tf32": "0"})]
        preload = getattr(onnxruntime, "preload_dlls", None)
        if preload is not None:
            preload()
    elif provider == "openvino":
        providers = [(wanted, openvino_settings(options.threads, options.bf16))]
    try:
        inner = onnxruntime.InferenceSession(_model_bytes_or_path(spec), settings, providers=providers)
    except Exception as error:
        if provider != "cpu":
            raise ProviderError(f"model {spec.name!r}: {wanted} cannot be used: {first_line(error)}") from error
        raise ModelError(
            f"{spec.model_file}: ONNX Runtime {onnxruntime.__version__} cannot load it: {first_line(error)}; "
            f"files beside model.onnx must be listed under [files]; re-export or copy the whole folder"
        ) from error
    inner.disable_fallback()
    used = inner.get_providers()
    if used[0] != wanted:
        more = ", `python bench/gpu_check.py` says more" if provider == "cuda" else ""
        raise ProviderError(
            f"model {spec.name!r}: asked for {wanted}, ONNX Runtime used {used[0]}; its libraries did not load or it "
            f"refused its options{more}"
        )
    if provider != "cpu":
        check_assignment(spec.name, wanted, node_providers(inner))
    return inner


def _check_available(spec: ModelSpec, options: SessionOptions, provider: str) -> None:
    available = onnxruntime.get_available_providers()
    if EXECUTION_PROVIDERS[provider] not in available:
        raise ProviderError(
            f"model {spec.name!r}: provider {provider!r} was asked for, but this ONNX Runtime has only "
            f"{', '.join(available)}; {_INSTALL.get(provider, 'install another ONNX Runtime')}"
        )
    if options.bf16 and provider != "openvino":
        raise ProviderError(f"model {spec.name!r}: bf16 is computed by provider 'openvino' alone, not by {provider!r}")
    if options.bf16 and not has_bf16():
        # OpenVINO would take the hint and compute in fp32 without a word.
        raise ProviderError(
            f"model {spec.name!r}: precision 'bf16' was asked for, but {processor_name() or 'this processor'} has "
            "neither avx512_bf16 nor amx_bf16; set precision = 'fp32'"
        )


def node_providers(inner: Any) -> list[tuple[str, str]]:
    """``(operator, provider)`` of every node, where this ONNX Runtime records it (1.24 and later), else nothing."""
    read = getattr(inner, "get_provider_graph_assignment_info", None)
    if read is None:
        return []
    return [(node.op_type, part.ep_name) for part in read() for node in part.get_nodes()]


def check_assignment(name: str, wanted: str, nodes: Sequence[tuple[str, str]]) -> None:
    """Refuse a session whose arithmetic is not on the provider that was asked for; shape nodes may be anywhere."""
    elsewhere = sorted({operator for operator, used in nodes if used != wanted and _ARITHMETIC.search(operator)})
    if elsewhere:
        raise ProviderError(
            f"model {name!r}: {wanted} has no kernels for {', '.join(elsewhere)}, they would run on the CPU provider; "
            f"{_ELSEWHERE[wanted]}"
        )


def _model_bytes_or_path(spec: ModelSpec) -> bytes | str:
    """Bytes when the graph stands alone, so that external data the manifest does not list cannot be read unseen."""
    others = set(spec.files) - {"model.onnx", "tokenizer.json"}
    return str(spec.model_file) if others else spec.model_file.read_bytes()


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its type where it has none."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
