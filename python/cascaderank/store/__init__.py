"""Tokens and vectors computed ahead for known documents, bound to the models that made them.

``Store`` is what ranking reads, in memory or mapped from a folder; ``Writer`` is the one process that changes such a
folder. A folder holds one file per column and segment and ``store.json``, the manifest that names them: what is not
named there does not exist, so replacing that one file commits.
"""

from __future__ import annotations

from cascaderank.store.columns import PRECISIONS, Part, Schema, TokenVectors
from cascaderank.store.manifest import MANIFEST, is_store
from cascaderank.store.store import Store, checksums
from cascaderank.store.truncation import Truncation, truncation
from cascaderank.store.writer import Writer

__all__ = [
    "MANIFEST",
    "PRECISIONS",
    "Part",
    "Schema",
    "Store",
    "TokenVectors",
    "Truncation",
    "Writer",
    "checksums",
    "is_store",
    "truncation",
]
