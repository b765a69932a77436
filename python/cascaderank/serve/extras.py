"""Says which extra is missing, before the first import that would fail without it."""

from __future__ import annotations

from importlib.util import find_spec

from cascaderank.errors import MissingExtraError

for _module in ("starlette", "uvicorn", "httptools", "msgspec", "prometheus_client"):
    if find_spec(_module) is None:
        raise MissingExtraError(
            f"serve needs the package {_module.replace('_', '-')}, which is not installed; "
            "pip install 'cascaderank[serve]'"
        )
