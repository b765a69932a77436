"""A folder for this process alone, and the end of those that killed processes left.

A process that is killed while it loads cannot take its copy of the models away. So each folder is locked while it is
used: the system gives the lock up with the process, and whoever can take it knows that nobody uses the folder. The
process's number is in its name for people only: in a container every process may have the same.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "cascaderank-serve-"


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder in ``TMPDIR``, gone at the end."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        lock = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # a file system without locks: then nobody sweeps there either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            break
        os.close(lock)  # swept away by another process before it was locked
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def sweep() -> list[Path]:
    """Take away what killed processes of this user left in ``TMPDIR``; returns what that was."""
    found = []
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another's, or gone meanwhile
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is in use
                shutil.rmtree(folder)
                found.append(folder)
            finally:
                os.close(lock)
    return found
