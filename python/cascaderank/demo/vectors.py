"""The corpus's vectors: computed once, kept in the user's cache, never trusted blindly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.demo.corpus import corpus_digest
from cascaderank.documents import Document
from cascaderank.errors import StoreError
from cascaderank.store import Store, checksums

Progress = Callable[[int, int], None]


class Vectors(NamedTuple):
    """The store, whether it was ``computed`` now, and what there is to say about it (a sentence, or nothing)."""

    store: Store
    computed: bool
    path: Path | None
    note: str


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/cascaderank``, by default ``~/.cache/cascaderank`` (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "cascaderank"


def cache_store(cascade: Cascade, documents: Sequence[Document]) -> Path:
    """Where the vectors of this corpus for these models are kept."""
    models = hashlib.sha256("\n".join(sorted({spec.digest for spec in cascade.models})).encode()).hexdigest()
    return cache_folder() / f"python-docs-{corpus_digest(documents)[:16]}-{models[:16]}.store"


def load_or_encode(
    cascade: Cascade, documents: Sequence[Document], *, use_cache: bool = True, progress: Progress | None = None
) -> Vectors:
    """The store of ``documents`` from the cache, or computed and put there.

    A damaged store, or one of other texts or models, is computed again; a cache that cannot be written costs only the
    next start. Both are said in ``note``. ``progress`` is called with documents (done, in all) while encoding.
    """
    if not use_cache:
        return Vectors(cascade.encode(documents, progress), True, None, "the cache is not used")
    path = cache_store(cascade, documents)
    note = ""
    if path.exists():
        try:
            store = Store.open(path)
            _check(store, cascade, documents)
        except StoreError as error:
            note = f"the cached vectors cannot be used and are computed again: {error}"
        else:
            return Vectors(store, False, path, "")
    store = cascade.encode(documents, progress)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        store.save(path)
    except (OSError, StoreError) as error:
        return Vectors(store, True, None, f"the vectors could not be kept: {error}")
    return Vectors(store, True, path, note)


def _check(store: Store, cascade: Cascade, documents: Sequence[Document]) -> None:
    """The folder's name promises what it holds; someone may have put another store there."""
    if store.ids != tuple(document.id for document in documents):
        raise StoreError("it holds other documents")
    if not np.array_equal(store.checksums, checksums([document.text for document in documents])):
        raise StoreError("its documents had other texts")
    missing = [spec.name for spec in cascade.models if spec.digest not in store.models]
    if missing:
        raise StoreError(f"it was made without model {missing[0]!r}")
