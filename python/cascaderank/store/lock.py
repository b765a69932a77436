"""One writer at a time: a lock the kernel drops with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from cascaderank.errors import StoreError

LOCK = "lock"


class WriteLock:
    """``flock`` on the file ``lock`` of a store folder; the file stays, only the lock on it counts.

    Raises ``StoreError`` at once when another process (or another writer of this one) holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            if not isinstance(error, BlockingIOError):
                raise
            raise StoreError(
                f"{folder}: another writer is at work (process {holder}); readers may go on, wait for it to end"
            ) from None
        with suppress(OSError):  # on a full disk: the number is for messages, the lock holds without it
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
