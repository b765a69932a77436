"""What every conversion of a graph starts from and ends with: folded constants, known shapes, weights that fit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.extras import first_line, quiet, require
from cascaderank.export.graph import store_graph


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a graph: the method as the manifest says it, and what its maker should know beyond that."""

    method: str
    notes: tuple[str, ...] = ()


def convert_graph(
    source: Path, target: Path, external_over: int, change: Callable[[Path, Path, bool], Made], what: str
) -> Made:
    """Write ``target``, which is ``change(prepared, changed, external)`` of ``source``; ``what`` names it in errors.

    ``prepared`` is the source with constants folded and shapes inferred, ``changed`` the file to write; ``external``
    says that weights lie, and have to be put, beside the graph. Raises ``ModelError`` where ONNX Runtime fails.
    """
    shape_inference = require("onnxruntime.quantization.shape_inference")
    with tempfile.TemporaryDirectory() as scratch, quiet():
        prepared, changed = Path(scratch) / "prepared.onnx", Path(scratch) / "changed" / "model.onnx"
        changed.parent.mkdir()
        size = source.stat().st_size + sum(path.stat().st_size for path in source.parent.glob(f"{source.name}_data"))
        external = size > external_over
        try:
            # Symbolic shape inference needs sympy and fails on some graphs; the ONNX one is enough for MatMul.
            shape_inference.quant_pre_process(
                str(source), str(prepared), skip_symbolic_shape=True, save_as_external_data=external,
                all_tensors_to_one_file=True, external_data_location="prepared.onnx_data" if external else None,
            )  # fmt: skip
            made = change(prepared, changed, external)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"{source}: ONNX Runtime could not {what} it: {first_line(error)}; use precision fp32"
            ) from error
        store_graph(changed, target, external_over)
    return made


def save_graph(model: Any, path: Path, external: bool) -> None:
    """Write an ONNX model with its weights inside, or all in one file beside it."""
    for old in path.parent.glob(f"{path.name}_data"):
        old.unlink()
    require("onnx").save_model(model, str(path), save_as_external_data=external, location=f"{path.name}_data")
