"""Cascades as an HTTP service: the rerank endpoints that clients know, metrics, and models swapped under load.

``Settings`` -> ``Service`` (named cascades, their limits and metrics) -> ``create_app`` (an ASGI application) ->
``run`` (a process that listens, reloads and drains). Needs the extra ``serve``.
"""

from __future__ import annotations

from cascaderank.serve import extras as _extras
from cascaderank.serve.app import create_app
from cascaderank.serve.run import run
from cascaderank.serve.service import Service
from cascaderank.serve.settings import Settings

__all__ = ["Service", "Settings", "create_app", "run"]
del _extras
