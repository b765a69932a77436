"""The fp32 model folder that everything else is measured beside: the graph as exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cascaderank.export.decide import Decision
from cascaderank.export.families import hidden_size
from cascaderank.export.form import Form
from cascaderank.export.framework import Reference, load_module
from cascaderank.export.graph import EXTERNAL_OVER, export_graph, read_graph
from cascaderank.export.manifest import write_manifest
from cascaderank.export.source import Source
from cascaderank.export.tables import input_table, output_table


def fp32_folder(
    folder: Path,
    found: Source,
    decision: Decision,
    form: Form,
    tokenizer: Any,
    tables: dict[str, Any],
    external: int = EXTERNAL_OVER,
) -> tuple[Reference, dict[str, Any]]:
    """Graph, tokenizer and a first manifest, with which the engine can run the empty ``folder``; the gate comes next.

    ``tables`` are the manifest's plain keys and its source. Returns the model in torch, and the tables with input and
    output. Graphs of more than ``external`` bytes keep their weights beside them.
    """
    model = load_module(found, decision)
    export_graph(decision, model, tokenizer, folder / "model.onnx", external)
    _save_tokenizer(tokenizer, folder / "tokenizer.json")
    graph = read_graph(folder / "model.onnx")
    tables = {
        **tables,
        "input": input_table(decision, form, graph),
        "output": output_table(decision, form, graph, hidden_size(decision.family, found.config)),
    }
    write_manifest(folder, {**tables, "precision": fp32_precision(True)})
    return Reference(decision, tokenizer, model), tables


def fp32_precision(invariant: bool) -> dict[str, Any]:
    """``[precision]``."""
    return {"weights": "fp32", "method": "as exported", "layout": "padded", "batch_invariant": invariant}


def _save_tokenizer(tokenizer: Any, path: Path) -> None:
    """tokenizer.json without truncation and padding: those are packing's, and a file that cuts would cut silently."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    path.write_text(json.dumps({**state, "truncation": None, "padding": None}, ensure_ascii=False), encoding="utf-8")
