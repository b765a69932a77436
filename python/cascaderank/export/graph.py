"""Torch module -> ``model.onnx``, and what the graph then asks for."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.decide import Decision
from cascaderank.export.decoders import export_decoder
from cascaderank.export.decoders.form import answer_ids
from cascaderank.export.decoders.module import score_row
from cascaderank.export.extras import first_line, out_of_space, quiet, require
from cascaderank.export.heads import composite

OPSET = 18
EXTERNAL_OVER = 1_900_000_000
"""Bytes of weights from which they go to a file of their own; a protobuf message ends at 2 GiB."""

_OUTPUTS = {"cross_encoder": "logits"}


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """Names of the graph's inputs and its output, and the size of the output's last axis (None: dynamic)."""

    inputs: tuple[str, ...]
    output: str
    last: int | None


def export_graph(
    decision: Decision, model: Any, tokenizer: Any, path: Path, external_over: int = EXTERNAL_OVER
) -> None:
    """Write the graph of ``model`` (a torch module in evaluation mode) to ``path``; weights beside it when large.

    A plain transformer goes through optimum, which knows each family's inputs. A model with a head of modules is
    traced by torch, which is also what optimum does inside.
    """
    # Beside the graph, so that room is needed in one place; tracer warnings are silenced, the gate judges the graph.
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch, quiet():
        folder = Path(scratch)
        if decision.template is not None:
            answers = answer_ids(decision.template, tokenizer, decision.family.name)
            export_decoder(model, score_row(model, answers), folder / "model.onnx")
        elif decision.composed:
            _trace(model, tokenizer, folder / "model.onnx", _output_name(decision))
        else:
            _transformer(decision, model, tokenizer, folder)
        store_graph(folder / "model.onnx", path, external_over)


def read_graph(path: Path) -> GraphInfo:
    """Read the inputs and the first output of a graph, without its weights."""
    onnx = require("onnx")
    graph = onnx.load(str(path), load_external_data=False).graph
    output = graph.output[0]
    axes = output.type.tensor_type.shape.dim
    last = axes[-1].dim_value if len(axes) and axes[-1].HasField("dim_value") else None
    return GraphInfo(tuple(item.name for item in graph.input), output.name, last)


def _output_name(decision: Decision) -> str:
    default = "sentence_embedding" if decision.kind == "bi_encoder" else "token_embeddings"
    return _OUTPUTS.get(decision.kind, default)


def _transformer(decision: Decision, model: Any, tokenizer: Any, folder: Path) -> None:
    """optimum, or torch where optimum fails for a model."""
    exporter = require("optimum.exporters.onnx")
    task = "text-classification" if decision.kind == "cross_encoder" else "feature-extraction"
    try:
        exporter.onnx_export_from_model(
            model, folder, task=task, opset=OPSET, do_validation=False, no_post_process=True
        )
    except Exception as first:
        if out_of_space(first):
            raise
        try:
            _trace(composite(model), tokenizer, folder / "model.onnx", _output_name(decision))
        except Exception as error:
            raise ModelError(
                f"neither optimum ({first_line(first)}) nor torch ({first_line(error)}) could export "
                f"{type(model).__name__} to ONNX"
            ) from error


def _trace(model: Any, tokenizer: Any, path: Path, output: str) -> None:
    torch = require("torch")
    roles = ["input_ids", "attention_mask"]
    if getattr(model.config, "type_vocab_size", 0) >= 2 and "token_type_ids" in tokenizer.model_input_names:
        roles.append("token_type_ids")
    encoded = tokenizer(["a text", "another, longer text"], padding=True, return_tensors="pt")
    example = tuple(encoded[role] if role in encoded else torch.zeros_like(encoded["input_ids"]) for role in roles)
    axes = {role: {0: "batch_size", 1: "sequence_length"} for role in roles}
    rank = model(*example).dim()
    axes[output] = {0: "batch_size", 1: "sequence_length"} if rank == 3 else {0: "batch_size"}
    torch.onnx.export(
        model, example, str(path), input_names=roles, output_names=[output], dynamic_axes=axes,
        opset_version=OPSET, dynamo=False,
    )  # fmt: skip


def store_graph(source: Path, target: Path, external_over: int) -> None:
    """Move the graph, its weights inside it or, when large, all in one file ``model.onnx_data`` beside it."""
    onnx = require("onnx")
    tensors = onnx.load(str(source), load_external_data=False).graph.initializer
    # Exporters choose names of their own for weights past 2 GiB, torch one file for each tensor.
    named = {item.value for tensor in tensors for item in tensor.external_data if item.key == "location"}
    beside = [source.parent / name for name in sorted(named)]
    size = source.stat().st_size + sum(path.stat().st_size for path in beside)
    if size <= external_over and not beside:
        shutil.move(source, target)
        return
    model = onnx.load(str(source))
    if size <= external_over:
        onnx.save_model(model, str(target))
        return
    onnx.save_model(
        model, str(target), save_as_external_data=True, all_tensors_to_one_file=True, location=f"{target.name}_data",
        size_threshold=1024,
    )  # fmt: skip
