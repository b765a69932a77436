"""Makes a generation ready before it serves: hashes, golden scores, a smoke pair, warm-up. Runs in a thread beside the
one that serves; whatever is wrong is raised here and nothing changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from cascaderank.cascade import Cascade
from cascaderank.config import CascadeConfig, read_config
from cascaderank.errors import CascadeError, ModelError
from cascaderank.serve.snapshot import snapshot
from cascaderank.store import Store

_QUERY = "how many days are there in a week"
_DOCUMENTS = ["The recipe needs two eggs, some flour and a pinch of salt.", "A week has seven days."]


@dataclass(frozen=True, slots=True)
class Prepared:
    """``unchecked`` names models whose manifest has no golden scores: their hashes and the smoke pair vouch alone."""

    cascade: Cascade
    store: Store | None
    source: dict[str, str]
    score_kind: str
    unchecked: tuple[str, ...]


def prepare(file: Path, store: Path | None) -> Prepared:
    """Load and check what lies on disk now. Raises ``CascadeError``, in the operator's own folders' names."""
    config = read_config(file)
    with snapshot(config) as (copied, source):
        try:
            return _load(copied, None if store is None else Store.open(store), source)
        except CascadeError as error:
            text = str(error)
            for copy, original in source.items():
                text = text.replace(copy, original)
            raise type(error)(text) from None


def _load(config: CascadeConfig, store: Store | None, source: dict[str, str]) -> Prepared:
    cascade = Cascade(config)
    try:
        _check_golden(cascade)
        _check_smoke(cascade, store)
        cascade.warm_up()
    except BaseException:
        cascade.close()
        raise
    unchecked = tuple(dict.fromkeys(spec.name for spec in cascade.models if spec.golden is None))
    return Prepared(cascade, store, source, _score_kind(cascade), unchecked)


def _check_golden(cascade: Cascade) -> None:
    """A folder with golden scores has to meet them. One without is older or synthetic and is taken by its hashes."""
    if all(spec.golden is not None for spec in cascade.models):
        cascade.check_golden()
        return
    for stage, spec in zip(cascade.config.stages, cascade.models, strict=True):
        if spec.golden is not None:
            with Cascade([stage]) as alone:
                alone.check_golden()


def _check_smoke(cascade: Cascade, store: Store | None) -> None:
    """A pair gives finite scores and, where there is a store, the store is of these models."""
    ranking = cascade.rank(_QUERY, _DOCUMENTS, deadline_ms=None)
    if not all(hit.score is None or math.isfinite(hit.score) for hit in ranking):
        raise ModelError("the smoke pair's scores are not finite numbers; export the models again")
    if store is not None and len(store):
        cascade.rank(_QUERY, ids=store.ids[:1], store=store)


def _score_kind(cascade: Cascade) -> str:
    if cascade.config.fusion != "last":
        return f"fused: {cascade.config.fusion}"
    return cascade.models[-1].output.score
