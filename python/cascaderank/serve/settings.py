"""Settings of the service: frozen, checked when made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cascaderank.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """What a service serves, and its limits.

    ``cascades`` maps the name that a request's ``model`` gives to a cascade file (None: the installed models' own); the
    first is taken where a request names none. ``stores`` maps a cascade's name to the folder of its store. ``api_keys``
    are asked of every ranking request, ``admin_keys`` of swaps, rollbacks and nothing else; without admin keys nobody
    can ask for those over HTTP. ``max_queue`` requests of one cascade may be under way, the next is refused at once
    (None: its file's ``max_requests``, else 64). ``max_documents`` and ``max_body_bytes`` bound one request,
    ``max_reading_bytes`` all bodies that are being read (None: eight of the largest), ``body_timeout_s`` and
    ``header_timeout_s`` how long a client may take to send it, ``keep_alive_s`` how long its connection may then stay
    idle, ``timeout_s`` how long its answer may take, ``send_timeout_s`` how long it may leave that unread.
    ``deadline_ms`` is taken where neither request nor cascade file says one. ``watch_s`` is how often files are looked
    at for changes (0: never); ``trial`` tries what was changed in a process of its own first. ``drain_delay_s`` is how
    long a stopping server goes on taking requests while ``/ready`` already says no, ``drain_s`` how long it then waits
    for those under way.
    """

    cascades: Mapping[str, Path | None] = field(default_factory=lambda: {"default": None})
    stores: Mapping[str, Path] = field(default_factory=dict)
    api_keys: tuple[str, ...] = ()
    admin_keys: tuple[str, ...] = ()
    max_queue: int | None = None
    max_documents: int = 10_000
    max_body_bytes: int = 32 << 20
    max_reading_bytes: int | None = None
    body_timeout_s: float = 10.0
    header_timeout_s: float = 10.0
    keep_alive_s: float = 30.0
    timeout_s: float = 60.0
    send_timeout_s: float = 60.0
    deadline_ms: float | None = None
    watch_s: float = 1.0
    trial: bool = True
    keep_previous: bool = True
    drain_delay_s: float = 0.0
    drain_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.cascades:
            raise ConfigError("serve: no cascades; name at least one")
        for name in self.cascades:
            if not name or not name.isprintable():
                raise ConfigError(f"serve: {name!r} is no name for a cascade; use letters, digits, '-' and '.'")
        for name in self.stores:
            if name not in self.cascades:
                raise ConfigError(f"serve: a store for {name!r}, but the cascades are {', '.join(self.cascades)}")
        for key in ("max_queue", "max_documents", "max_body_bytes", "max_reading_bytes"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"serve: {key} is {value!r}, expected an integer of at least 1")
        if self.reading_limit < self.max_body_bytes:
            raise ConfigError(
                f"serve: max_reading_bytes is {self.max_reading_bytes}, but one body may have {self.max_body_bytes}; "
                "allow more at once, or smaller bodies"
            )
        for key in ("body_timeout_s", "header_timeout_s", "keep_alive_s", "timeout_s", "send_timeout_s"):
            value = getattr(self, key)
            if not 0.0 < value < math.inf:
                raise ConfigError(f"serve: {key} is {value!r}, expected a positive number of seconds")
        for key in ("watch_s", "drain_delay_s", "drain_s"):
            if not 0.0 <= getattr(self, key) < math.inf:
                raise ConfigError(f"serve: {key} is {getattr(self, key)!r}, expected seconds, 0 or more")
        for keys in (self.api_keys, self.admin_keys):
            if any(not key.strip() or not key.isascii() for key in keys):
                raise ConfigError("serve: an API key is empty or not ASCII; keys are one per line of the key file")

    @property
    def reading_limit(self) -> int:
        """Bytes of all bodies that are being read."""
        return 8 * self.max_body_bytes if self.max_reading_bytes is None else self.max_reading_bytes
