"""An fp32 model folder -> the same model in another precision, measured beside it, or an error."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cascaderank.export.calibration import typical_inputs
from cascaderank.export.engine import Engine
from cascaderank.export.golden import golden_table
from cascaderank.export.manifest import write_manifest
from cascaderank.export.parity import TOLERANCE, batch_invariant, compare_folders
from cascaderank.export.precisions import PRECISIONS, Making
from cascaderank.export.prepare import Made
from cascaderank.export.quality import MAX_LOSS, gate_quality, measure_quality
from cascaderank.export.report import Change, ParityReport, Progress
from cascaderank.export.speed import measure_speed
from cascaderank.export.tables import parity_table


@dataclass(frozen=True, slots=True)
class Judged:
    """On what a conversion is judged: ``data`` in the layout of BEIR (None: not by quality), its split, and how much of
    fp32's nDCG@10 may be lost (see ``gate_quality``)."""

    data: Path | None = None
    split: str = "dev"
    max_ndcg_loss: float = MAX_LOSS


def convert_folder(
    fp32: Path, folder: Path, name: str, making: Making, tables: Mapping[str, Any], parity: ParityReport,
    judged: Judged, progress: Progress | None = None,
) -> Change:  # fmt: skip
    """Fill the empty ``folder`` with the model of ``fp32`` in precision ``name`` and say what that changed.

    ``tables`` are the manifest without precision, parity and golden; ``parity`` is what the fp32 folder reached.
    Raises ``ModelError`` for a value that is no number, and where the data show a loss above the limit.
    """
    made = make_folder(fp32, folder, name, making, tables)
    agreement, moved = compare_folders(folder, fp32, progress=progress)
    quality = None
    if judged.data is not None:
        with Engine(fp32) as before, Engine(folder) as after:
            quality = measure_quality(before.rank_logits, after, judged.data, split=judged.split, progress=progress)
        gate_quality(quality, str(tables["name"]), judged.max_ndcg_loss)
    invariant = not PRECISIONS[name].one_scale and batch_invariant(moved, parity.score_range)
    change = Change(
        name, made.method, agreement, moved, invariant, measure_speed(fp32, folder), quality, judged.max_ndcg_loss,
        made.notes,
    )  # fmt: skip
    # Another processor may be as far from fp32 in the other direction.
    golden = golden_table(folder, tolerance=max(2 * agreement.max_abs_diff, TOLERANCE))
    finished = {**tables, "precision": _section(name, made, invariant, making), "parity": parity_table(parity, change)}
    write_manifest(folder, {**finished, "golden": golden})
    return change


def make_folder(fp32: Path, folder: Path, name: str, making: Making, tables: Mapping[str, Any]) -> Made:
    """Graph, tokenizer and a first manifest of the empty ``folder``, with which the engine can run it."""
    made = PRECISIONS[name].make(fp32 / "model.onnx", folder / "model.onnx", making)
    shutil.copy2(fp32 / "tokenizer.json", folder / "tokenizer.json")
    write_manifest(folder, {**tables, "precision": _section(name, made, False, making)})
    return made


def _section(name: str, made: Made, invariant: bool, making: Making) -> dict[str, Any]:
    section: dict[str, Any] = {"weights": name, "method": made.method, "layout": "padded", "batch_invariant": invariant}
    return section | {"calibrated_on": making.texts} if making.texts else section


def making_for(
    name: str, fp32: Path, judged: Judged, *, reduce_range: bool, quantize_embeddings: bool, external_over: int,
    calibration: Path | None = None,
) -> Making:  # fmt: skip
    """What the conversion is told; typical inputs only where it is calibrated, those of ``calibration`` if given."""
    if not PRECISIONS[name].calibrated:
        return Making((), reduce_range, quantize_embeddings, external_over)
    typical = typical_inputs(fp32, judged.data, judged.split, calibration)
    return Making(typical.inputs, reduce_range, quantize_embeddings, external_over, typical.texts)
