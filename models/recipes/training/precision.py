"""What to train in: bf16 where the processor computes in it, fp32 where it would only be emulated."""

from __future__ import annotations

from pathlib import Path

import torch

BF16 = {"avx512_bf16", "amx_bf16"}  # what the kernel calls the instructions that multiply in bf16


def training_dtype(processor: Path = Path("/proc/cpuinfo")) -> torch.dtype:
    """bf16 or fp32, by the flags of the processor; fp32 where they cannot be read.

    With AVX2 alone bf16 takes several times as long as fp32; with BF16 instructions about half.
    """
    text = processor.read_text(encoding="utf-8") if processor.is_file() else ""
    flags = {flag for line in text.splitlines() if line.startswith("flags") for flag in line.split()}
    return torch.bfloat16 if BF16 & flags else torch.float32
