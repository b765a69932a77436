"""What a tuning is asked for, and what of it cannot work."""

from __future__ import annotations

from dataclasses import dataclass

from cascaderank.errors import InputError
from cascaderank.tune.guarantee import check_sample
from cascaderank.tune.write import check_writer

PATHS = ("keep", "margin")


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """``budget_share`` takes the place of ``budget_ms``: that share of the predicted P50 of the slowest choice without
    cut-offs that does as well as the best one, by the queries that choose. ``max_recall_loss`` None: no guarantee is
    asked for; with one, ``certify`` says what is to be found, cut-offs (``keep``) or a ``margin`` per query.
    ``cost_queries`` requests of the half that chooses are timed to fit the cost model, ``check_queries`` of the other
    to check it. The halves are drawn by ``seed``. Candidates of grade ``relevant_from`` and more count as relevant: for
    recall, plateaus, the guarantee and the lost queries; nDCG has its own gains."""

    budget_ms: float = 200.0
    budget_share: float | None = None
    max_recall_loss: float | None = None
    confidence: float = 0.95
    certify: str = "keep"
    seed: int = 0
    cost_queries: int = 8
    check_queries: int = 50
    relevant_from: int = 1


def check_settings(queries: int, settings: TuneSettings) -> None:
    """What cannot work is said before hours of scoring. Raises ``InputError`` or ``MissingExtraError``."""
    if queries < 4:
        raise InputError(f"tune: {queries} judged queries; at least 4 are needed, 100 and more to trust the choice")
    if settings.relevant_from < 1:
        raise InputError(f"tune: relevant_from is {settings.relevant_from}, expected a grade of at least 1")
    if settings.certify not in PATHS:
        raise InputError(f"tune: certify is {settings.certify!r}, expected one of {', '.join(PATHS)}")
    if settings.max_recall_loss is not None:
        check_sample((queries + 1) // 2, settings.max_recall_loss, settings.confidence)
    check_writer()


def check_relevant(choosing: int, reporting: int, settings: TuneSettings, idle: int) -> None:
    """Refuse, before anything is scored, what the candidates cannot support: ``choosing`` and ``reporting`` are the
    queries of each half that have a relevant one, ``idle`` those of the choosing half that have none. Raises
    ``InputError``."""
    for half, count in (("to choose with", choosing), ("held back", reporting)):
        if not count:
            raise InputError(
                f"tune: no query of those {half} has a candidate of grade {settings.relevant_from} or more; nothing "
                "could be lost there. Look at more candidates (--candidates), or at the first pass"
            )
    if settings.max_recall_loss is not None:
        check_sample(choosing, settings.max_recall_loss, settings.confidence, idle)
