"""Makes a generation ready before it serves: hashes, golden scores, a smoke pair, warm-up. Runs in a thread beside the
one that serves; whatever is wrong is raised here and nothing changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cascaderank.cascade import Cascade
from cascaderank.config import CascadeConfig, read_config
from cascaderank.errors import CascadeError
from cascaderank.serve.snapshot import snapshot
from cascaderank.store import Store
from cascaderank.trial import Trial, check

_MAX_REQUESTS = 64  # under way at once, where nobody says: a service without a bound answers everybody too late


@dataclass(frozen=True, slots=True)
class Prepared:
    """``unchecked`` names models whose manifest has no golden scores: their hashes and the smoke pair vouch alone."""

    cascade: Cascade
    store: Store | None
    source: dict[str, str]
    score_kind: str
    unchecked: tuple[str, ...]


def prepare(file: Path, store: Path | None, max_requests: int | None, trial: Trial | None) -> Prepared:
    """Load and check what lies on disk now; with ``trial`` it is tried there first, which is where the time goes.

    ``max_requests`` is in place of the cascade file's. Raises ``CascadeError``, in the operator's own folders' names.
    """
    config = read_config(file)
    config = replace(config, max_requests=max_requests or config.max_requests or _MAX_REQUESTS)
    with snapshot(config) as (copied, source):
        try:
            return _load(copied, store, source, trial)
        except CascadeError as error:
            text = str(error)
            for copy, original in source.items():
                text = text.replace(copy, original)
            raise type(error)(text) from None


def _load(config: CascadeConfig, store: Path | None, source: dict[str, str], trial: Trial | None) -> Prepared:
    plans = None
    if trial is not None:
        plans = trial.run(config, store)
        config = replace(config, check_golden=False)  # it was
    opened = None if store is None else Store.open(store)
    cascade = Cascade(config)
    try:
        check(cascade, golden=trial is None, store=opened)
        cascade.warm_up(plans)
    except BaseException:
        cascade.close()
        raise
    unchecked = tuple(dict.fromkeys(spec.name for spec in cascade.models if spec.golden is None))
    return Prepared(cascade, opened, source, _score_kind(cascade), unchecked)


def _score_kind(cascade: Cascade) -> str:
    if cascade.config.fusion != "last":
        return f"fused: {cascade.config.fusion}"
    return cascade.models[-1].output.score
