"""From exceptions to what HTTP says: a status, a kind, a message. Each API writes it in its own shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec

from cascaderank.errors import (
    CascadeError,
    InputError,
    ModelError,
    OverloadedError,
    ProviderError,
    ScoreError,
    StoreError,
)


@dataclass(eq=False)  # not frozen: raising it writes its traceback
class Failure(Exception):
    """A request that gets no ranking. ``kind`` is Text Embeddings Inference's word for it."""

    status: int
    message: str
    kind: str = "Validation"
    retry_after_s: float | None = None

    @property
    def headers(self) -> dict[str, str]:
        """``Retry-After`` in whole seconds, and how to say who one is, as HTTP wants them."""
        found = {"www-authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after_s is not None:
            found["retry-after"] = str(max(1, math.ceil(self.retry_after_s)))
        return found


def failure_of(error: BaseException) -> Failure:
    """What went wrong, as HTTP: 400 for a malformed or impossible request, 422 for a wrong type, 429 for a full queue,
    503 for a service that is not ready, 500 for a model that fails; what nobody foresaw is 500 and says no more than
    its number."""
    match error:
        case Failure():
            return error
        case msgspec.ValidationError():
            return Failure(422, f"request body: {error}")
        case msgspec.DecodeError() | UnicodeDecodeError():
            return Failure(400, f"request body: not valid JSON: {error}")
        case RecursionError():
            return Failure(400, "request body: nested too deeply")
        case OverloadedError():
            return Failure(429, str(error), "Overloaded", error.retry_after_s)
        case InputError():
            return Failure(400, str(error))
        case StoreError():
            return Failure(400, str(error))
        case ScoreError() | ProviderError() | ModelError():
            return Failure(500, str(error), "Backend")
        case CascadeError():
            return Failure(503, str(error), "Unhealthy", 1.0)
        case _:
            return Failure(500, "internal error; the server's log has it under this request's id", "Backend")
