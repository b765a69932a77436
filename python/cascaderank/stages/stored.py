"""Which stages meet a request's documents as stored ones: known by id is not enough where it is vectors that count."""

from __future__ import annotations

from collections.abc import Sequence

from cascaderank.config import Stage
from cascaderank.manifest import PAIRED
from cascaderank.model import ModelSpec
from cascaderank.store import Store

Needed = tuple[frozenset[str], ...]
"""By stage, digests of the models whose vectors make a document a stored one there."""


def needed_vectors(stages: Sequence[Stage], specs: Sequence[ModelSpec]) -> Needed:
    """An encoder's own. Stages that take none go by those of the stages for stored documents (``stored = true``), whose
    place they may be there to take; so does an encoder for bare texts."""
    pairs = list(zip(stages, specs, strict=True))
    of_stored = frozenset(spec.digest for stage, spec in pairs if stage.stored and spec.kind not in PAIRED)
    return tuple(
        of_stored if spec.kind in PAIRED or stage.stored is False else frozenset({spec.digest}) for stage, spec in pairs
    )


def stored_stages(needed: Needed, store: Store | None, with_texts: bool) -> tuple[bool, ...]:
    """By stage, for documents that ``store`` knows by id (None: not all of them).

    Beside texts (``with_texts``) a store of other models knows nothing: the stage would encode every document in the
    request. By ids alone such a store is an error, which the stage raises, so it has to run.
    """
    if store is None:
        return (False,) * len(needed)
    held = {*store.schema.vectors, *store.schema.token_vectors}
    return tuple(not with_texts or digests <= held for digests in needed)
