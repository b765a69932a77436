"""Makes model folders from Hugging Face models; the only part that needs torch, transformers, optimum and onnx.

They are imported on first use, so this package imports without them; a missing one is a ``MissingExtraError``.
"""

from cascaderank.export.against import compare_with_source, gate_recorded, measure_against
from cascaderank.export.golden import golden_table
from cascaderank.export.manifest import hash_files, write_manifest
from cascaderank.export.parity import TOLERANCE, PairScorer, check_parity, compare_folders, gate
from cascaderank.export.precisions import PRECISIONS
from cascaderank.export.quality import MAX_LOSS, gate_quality, measure_quality
from cascaderank.export.quantize import quantize_graph
from cascaderank.export.report import Agreement, Change, ExportReport, ParityReport, Progress, QualityReport, Speed
from cascaderank.export.run import export_model
from cascaderank.export.tables import parity_table

__all__ = [
    "MAX_LOSS",
    "PRECISIONS",
    "TOLERANCE",
    "Agreement",
    "Change",
    "ExportReport",
    "PairScorer",
    "ParityReport",
    "Progress",
    "QualityReport",
    "Speed",
    "check_parity",
    "compare_folders",
    "compare_with_source",
    "export_model",
    "gate",
    "gate_quality",
    "gate_recorded",
    "golden_table",
    "hash_files",
    "measure_against",
    "measure_quality",
    "parity_table",
    "quantize_graph",
    "write_manifest",
]
