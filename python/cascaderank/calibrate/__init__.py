"""Fitting what turns logits into probabilities, and the weights that join them. Nothing in here is imported by ranking.

Needs the extra ``evaluate``; what it writes into manifests and cascade files needs nothing.
"""

from __future__ import annotations

from cascaderank.calibrate.choose import MethodResult, choose_method, compare_methods
from cascaderank.calibrate.methods import fit
from cascaderank.calibrate.pairs import LabelledPairs
from cascaderank.evaluate.reliability import Reliability, measure_reliability

__all__ = [
    "LabelledPairs",
    "MethodResult",
    "Reliability",
    "choose_method",
    "compare_methods",
    "fit",
    "measure_reliability",
]
