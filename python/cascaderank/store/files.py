"""Files that are whole or not there: written, hashed and synced; beside the one they replace; mapped for reading."""

from __future__ import annotations

import hashlib
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import StoreError


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of a store: its name in the folder, its size and the sha256 of its bytes."""

    name: str
    size: int
    sha256: str


class FileWriter:
    """Appends to a new file and hashes what it appends; ``finish`` returns once the disk has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = path.open("wb")
        self._hash = hashlib.sha256()
        self._size = 0

    def append(self, values: NDArray[Any]) -> None:
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        self._stream.write(data)
        self._hash.update(data)
        self._size += len(data)

    def flush(self) -> None:
        """Make what was appended readable by others who open the file."""
        self._stream.flush()

    def finish(self) -> FileRecord:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        return FileRecord(self.path.name, self._size, self._hash.hexdigest())

    def abandon(self) -> None:
        """Give the file up; what is still unwritten may fail to be written again, which no longer matters."""
        try:
            self._stream.close()
        except OSError:
            # CPython closes the descriptor even where the last flush fails.
            return


def write_beside(path: Path, content: bytes) -> Path:
    """A whole new file beside ``path``, on the disk. To rename it puts it in the place of ``path``: readers see the old
    bytes or the new, also after a crash; the rename lasts once the folder is synced."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return partial


def sync_folder(path: Path) -> None:
    """Make the folder's entries last: a new or renamed file is found again only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def map_array(folder: Path, record: FileRecord, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The file as a read-only array that lies in the page cache; a size that is not the recorded one is refused.

    Raises ``StoreError`` naming the file, ``FileNotFoundError`` where there is none.
    """
    path = folder / record.name
    expected = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size != record.size or size != expected:
            raise StoreError(
                f"{path}: {size} bytes, but {record.size} were written and {expected} are needed; the file is damaged, "
                "rebuild the store or restore the file"
            )
        if not size:
            return np.empty(shape, dtype)
        # The map keeps the file alive when a writer has unlinked it.
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(mapped, dtype).reshape(shape)


def verify_file(folder: Path, record: FileRecord) -> None:
    """Read all of the file and compare; raises ``StoreError`` naming it."""
    path = folder / record.name
    try:
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError as error:
        raise StoreError(f"{path}: cannot read the store: {error.strerror or error}") from None
    if size != record.size or found != record.sha256:
        raise StoreError(
            f"{path}: {size} bytes with sha256 {found[:16]}…, but {record.size} with {record.sha256[:16]}… were made; "
            "the file is damaged, restore it or rebuild the store"
        )
