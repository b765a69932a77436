"""The static encoder as ONNX: token ids to token vectors, a lookup in 8 bits and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporting.runtime import OPSET
from exporting.tables import Table, compress_table

TABLE = "encoder.word_embeddings.weight"


def lookup_graph(table: np.ndarray) -> onnx.ModelProto:
    """int64 input_ids [batch, length] -> float32 last_hidden_state [batch, length, size], from a float32 table."""
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    states = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", table.shape[1]])
    node = helper.make_node("Gather", [TABLE, "input_ids"], ["last_hidden_state"], name="lookup")
    graph = helper.make_graph([node], "static", [ids], [states], [numpy_helper.from_array(table, TABLE)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def write_static(table: np.ndarray, coded: Table, fp32: Path, int8: Path) -> None:
    """Both precisions of the same table."""
    model = lookup_graph(table)
    onnx.save(model, str(fp32))
    compress_table(model, TABLE, coded)
    onnx.save(model, str(int8))
