"""ONNX Runtime as the recipes use it: one thread, and what follows a bi-encoder's graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

OPSET = 17  # IR version 8: every ONNX Runtime from 1.13 reads it


def session(path: Path, saturating: bool = False) -> onnxruntime.InferenceSession:
    """A session on one thread of the CPU, with exact int8 products as the engine's. `saturating` leaves them to ONNX
    Runtime, whose sums of two products overflow 16 bits on x86 processors without VNNI."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not saturating:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def mean_pool(hidden: np.ndarray, attended: np.ndarray) -> np.ndarray:
    """Token states [batch, length, size] -> unit mean vectors [batch, size]."""
    mask = attended[..., None].astype(np.float32)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)
