"""Choosing cut-offs with evidence: every stage scores every candidate once, everything else is read off that table."""

from __future__ import annotations

from cascaderank.tune.guarantee import binomial_p_value, hoeffding_bentkus_p_value, queries_needed
from cascaderank.tune.run import run_tune
from cascaderank.tune.settings import TuneSettings

__all__ = ["TuneSettings", "binomial_p_value", "hoeffding_bentkus_p_value", "queries_needed", "run_tune"]
