"""One module per rerank API: its request and response as typed structs, decoded and encoded natively by msgspec.

Sources: the APIs' public references and the clients that speak them (docs/serve.md lists fields and differences).
"""

from __future__ import annotations

from typing import Protocol

from cascaderank.serve.failures import Failure
from cascaderank.serve.request import Answer, RankRequest


class Shape(Protocol):
    """How one API says things. ``read`` raises ``Failure`` or msgspec's errors for a body that is no request."""

    name: str

    def read(self, body: bytes) -> RankRequest: ...

    def write(self, answer: Answer) -> bytes: ...

    def fail(self, failure: Failure, request_id: str) -> bytes: ...
