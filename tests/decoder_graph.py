"""A synthetic decoder whose score can be computed by hand, with keys and values of what came before as an input.

The logit is the sum of id * place / 1000 over a row's tokens, places from 1 through whatever came before, so a lost
token, a wrong place or a past that is not used shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiny import VOCABULARY, ids, write_manifest, write_tokenizer

PAIR = ("[CLS]", "red", "$query", "[SEP]", "$document", "blue", "[SEP]")
node = helper.make_node


def logit(query: str, document: str, max_length: int = 32) -> float:
    """The score of one row under ``PAIR``; both texts are known words with their prefixes and suffixes."""
    before = [VOCABULARY["[CLS]"], VOCABULARY["red"], *ids(query), VOCABULARY["[SEP]"]]
    after = [VOCABULARY["blue"], VOCABULARY["[SEP]"]]
    row = [*before, *ids(document)[: max_length - len(before) - len(after)], *after]
    return sum(token * place for place, token in enumerate(row, start=1)) / 1000


def make_decoder(folder: Path, *, shared: bool = True, **changes: Any) -> Path:
    """A model folder around it; not ``shared``: the same without past."""
    folder.mkdir(parents=True)
    nodes = [
        node("CumSum", ["attention_mask", "axis"], ["places"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Cast", ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
        node("Add", ["places", "before"] if shared else ["places", "none"], ["positions"]),
        node("Cast", ["positions"], ["position"], to=TensorProto.FLOAT),
        node("Mul", ["numbers", "position"], ["weighted"]),
        node("Mul", ["weighted", "mask"], ["contribution"]),
        node("ReduceSum", ["contribution", "axis"], ["own"], keepdims=1),
    ]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.INT64, ["rows", "length"]) for n in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 1])]
    if shared:
        nodes = [
            node("Shape", ["past"], ["shape"]),
            node("Slice", ["shape", "three", "four"], ["before"]),
            *nodes,
            node("Gather", ["past", "zero"], ["values"], axis=0),
            node("ReduceSum", ["values"], ["earlier"], keepdims=0),
            node("Add", ["own", "earlier"], ["sum"]),
            node("Unsqueeze", ["contribution", "axes"], ["present_one"]),
            node("Concat", ["present_one", "present_one"], ["present"], axis=0),
        ]
        inputs.append(helper.make_tensor_value_info("past", TensorProto.FLOAT, [2, 1, 1, "before", 1]))
        outputs.append(helper.make_tensor_value_info("present", TensorProto.FLOAT, [2, "rows", 1, "length", 1]))
        changes = {"input__names__past": "past", "output__present": "present", **changes}
    nodes.append(node("Div", ["sum" if shared else "own", "thousand"], ["logits"]))
    constants = {
        "axis": np.array([1]), "none": np.array(0), "zero": np.array(0), "three": np.array([3]), "four": np.array([4]),
        "axes": np.array([0, 2, 4]), "thousand": np.float32(1000),
    }  # fmt: skip
    values = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "decoder", inputs, outputs, values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / "model.onnx"))
    write_tokenizer(folder / "tokenizer.json")
    return write_manifest(
        folder, "decoder", input__pair=PAIR, input__names__token_type_ids=None, **changes,
    )  # fmt: skip
