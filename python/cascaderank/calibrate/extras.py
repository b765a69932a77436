"""Imports of the packages that fitting needs, on first use."""

from __future__ import annotations

import importlib
from typing import Any

from cascaderank.errors import MissingExtraError


def require(module: str) -> Any:
    """Import ``module``; raises ``MissingExtraError`` naming the package where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn"}.get(module.partition(".")[0], module.partition(".")[0])
        raise MissingExtraError(
            f"calibrate needs the package {package}, which is not installed; pip install 'cascaderank[evaluate]'"
        ) from error
