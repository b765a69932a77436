"""The processor: its name, what its arithmetic units can do, and what OpenVINO is told because of it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from cascaderank.threads import available_cores

FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimddp", "i8mm", "bf16")
"""Those of /proc/cpuinfo that decide which arithmetic is fast: AVX and AMX of x86, dot products of Arm."""
_BF16 = {"avx512_bf16", "amx_bf16"}


@cache
def _read() -> tuple[tuple[str, str], ...]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    pairs = (line.partition(":") for line in lines)
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def processor_name() -> str | None:
    """The processor's name where Linux tells it."""
    return next((value for key, value in _read() if key == "model name"), None)


def processor_flags() -> tuple[str, ...]:
    """Those of ``FLAGS`` that the first core has; empty where Linux does not tell."""
    held = set(next((value for key, value in _read() if key in ("flags", "Features")), "").split())
    return tuple(flag for flag in FLAGS if flag in held)


def has_bf16() -> bool:
    """Whether products of bfloat16 have instructions here (x86: AVX-512 or AMX)."""
    return bool(_BF16.intersection(processor_flags()))


def openvino_settings(threads: int, bf16: bool) -> dict[str, str]:
    """Provider options of OpenVINO on the processor.

    A stream is what one run uses: as many as fit side by side with ``threads`` each, so that no lease waits for
    another. Its default precision is bf16 where the processor has it, so fp32 is said. Threads are not pinned to
    cores: on a machine that others use too, a pinned one waits behind whoever has its core.
    """
    streams = max(available_cores() // threads, 1)
    properties = {"INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32", "ENABLE_CPU_PINNING": "NO"}
    return {
        "device_type": "CPU",
        "num_of_threads": str(streams * threads),
        "num_streams": str(streams),
        "load_config": json.dumps({"CPU": properties}),
    }
