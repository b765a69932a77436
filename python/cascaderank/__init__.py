"""Reranking cascades: cheap models on many candidates, expensive ones on the few that survive, in a latency budget."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("onnxruntime") is None:
    raise ImportError(
        "cascaderank needs ONNX Runtime, which comes with an extra: pip install 'cascaderank[cpu]', "
        "or pip install 'cascaderank[gpu]' on a machine with CUDA"
    )
try:
    from cascaderank import kernels as _kernels
except ImportError as error:
    error.add_note("The extension cascaderank._core is missing; build it with `pip install .` from the source folder.")
    raise

from cascaderank.cascade import Cascade
from cascaderank.config import CascadeConfig, Dynamic, Stage
from cascaderank.documents import Document
from cascaderank.errors import (
    CascadeError,
    ConfigError,
    InputError,
    MissingExtraError,
    ModelError,
    OverloadedError,
    ProviderError,
    ScoreError,
    StoreError,
)
from cascaderank.results import Hit, Ranking, StageTrace, Trace
from cascaderank.store import Store

__all__ = [
    "Cascade",
    "CascadeConfig",
    "CascadeError",
    "ConfigError",
    "Document",
    "Dynamic",
    "Hit",
    "InputError",
    "MissingExtraError",
    "ModelError",
    "OverloadedError",
    "ProviderError",
    "Ranking",
    "ScoreError",
    "Stage",
    "StageTrace",
    "Store",
    "StoreError",
    "Trace",
]
__version__ = "0.1.0"
del _kernels
