"""Makes model folders from Hugging Face models; the only part that needs torch, transformers, optimum and onnx.

They are imported on first use, so this package imports without them; a missing one is a ``MissingExtraError``.
"""

from cascaderank.export.against import compare_with_source
from cascaderank.export.golden import golden_table
from cascaderank.export.manifest import hash_files, write_manifest
from cascaderank.export.parity import TOLERANCE, PairScorer, check_parity, compare_folders, gate
from cascaderank.export.quality import measure_quality
from cascaderank.export.quantize import quantize_graph
from cascaderank.export.report import Agreement, ExportReport, ParityReport, Progress, QualityReport
from cascaderank.export.run import export_model
from cascaderank.export.tables import parity_table

__all__ = [
    "TOLERANCE",
    "Agreement",
    "ExportReport",
    "PairScorer",
    "ParityReport",
    "Progress",
    "QualityReport",
    "check_parity",
    "compare_folders",
    "compare_with_source",
    "export_model",
    "gate",
    "golden_table",
    "hash_files",
    "measure_quality",
    "parity_table",
    "quantize_graph",
    "write_manifest",
]
