"""The exceptions cascaderank raises. Every message says what, where, the value, and what to do."""

from __future__ import annotations


class CascadeError(Exception):
    """Base class of every error this package raises on purpose."""


class ConfigError(CascadeError, ValueError):
    """A cascade file or a stage setting is wrong; raised at load, naming the file and the key."""


class InputError(CascadeError, ValueError):
    """A request is wrong: the query, a document, a score or a limit; names the candidate's index."""


class ModelError(CascadeError, ValueError):
    """A model folder cannot be used: manifest, hashes, graph inputs, tokenizer; names the folder."""


class ProviderError(CascadeError, RuntimeError):
    """The execution provider asked for is not available or was not used."""


class ScoreError(CascadeError, RuntimeError):
    """A model produced something that is not a score (NaN, Inf, a wrong shape); names stage and candidate."""


class StoreError(CascadeError, ValueError):
    """A store does not fit: another model, another text, an unknown id, a damaged file."""


class OverloadedError(CascadeError, RuntimeError):
    """Too many requests are under way; ``retry_after_s`` says in how many seconds one more may have its turn."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class MissingExtraError(CascadeError, ImportError):
    """An optional dependency is missing; names the extra to install."""
