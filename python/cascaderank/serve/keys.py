"""API keys: who may ask, compared without telling how much of a key was right."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers

from cascaderank.serve.failures import Failure


class Keys:
    """A set of keys; ``open`` where there are none and everybody may ask. Held as hashes."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]
        self.open = not keys

    def check(self, headers: Headers) -> None:
        """Raises ``Failure`` 401 unless ``Authorization: Bearer KEY`` or ``X-API-Key: KEY`` is one of them."""
        if self.open:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = headers.get("x-api-key", "")
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
        # All are compared, so that the time says nothing of which one.
        if not sum(hmac.compare_digest(digest, known) for known in self._digests):
            raise Failure(401, "no valid API key; send 'Authorization: Bearer KEY'", "Unauthorized")
