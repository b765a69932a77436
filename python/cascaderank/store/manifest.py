"""``store.json``: which files make the store. It is replaced whole, and that is the moment a change exists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cascaderank.errors import StoreError
from cascaderank.store.columns import Schema
from cascaderank.store.files import FileRecord, write_beside

MANIFEST = "store.json"
FORMAT = 2  # 1 was a single .npz file


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """A segment's documents and files (by column). ``deleted`` is the file of flags and how many are set, or None."""

    number: int
    count: int
    files: Mapping[str, FileRecord]
    deleted: FileRecord | None = None
    deleted_count: int = 0

    @property
    def state(self) -> str:
        """The same for the same files only: numbers are given once, deletions write a new file."""
        return f"{self.number} {self.deleted.name if self.deleted else ''}"

    @property
    def all_files(self) -> list[FileRecord]:
        return [*self.files.values(), *([self.deleted] if self.deleted else [])]


@dataclass(frozen=True, slots=True)
class Manifest:
    """``generation`` counts commits, ``next_number`` is the next segment's; numbers are never given twice, so a reader
    of an old generation cannot meet another file under a name it knows. ``rebuild`` is the command that made it."""

    generation: int
    next_number: int
    schema: Schema
    rebuild: str
    segments: tuple[SegmentRecord, ...]

    @property
    def documents(self) -> int:
        return sum(segment.count - segment.deleted_count for segment in self.segments)

    @property
    def remedy(self) -> str:
        if not self.rebuild:
            return "encode the documents again with this cascade"
        # The command knows neither what was appended later nor which cascade asks now.
        return (
            f"rebuild it: {self.rebuild} (name another cascade after --cascade; then append again what was added since)"
        )


def is_store(path: Path) -> bool:
    """Whether a store was ever committed there."""
    return (path / MANIFEST).is_file()


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """The manifest as a file beside ``store.json``, on the disk; the commit is to rename it to that."""
    body = json.dumps({"format": FORMAT, **asdict(manifest)}, ensure_ascii=True, indent=1)
    content = json.dumps({"sha256": _digest(body)})[:-1] + f', "store": {body}}}'
    return write_beside(folder / MANIFEST, content.encode())


def read_manifest(folder: Path) -> Manifest:
    """Raises ``StoreError`` naming the file when it is missing, damaged or of another format."""
    path = folder / MANIFEST
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise StoreError(
            f"{folder}: {what}; a store is a folder with {MANIFEST}, made by `cascaderank index` or Store.save: encode "
            "the documents again"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StoreError(
            f"{folder}: no {MANIFEST}, so nothing was ever committed; encode the documents again"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: cannot read the store: {error}") from None
    try:
        table = json.loads(text)
        body = text[text.index('"store": ') + len('"store": ') : text.rindex("}")]
        sound = table["sha256"] == _digest(body) and set(table) == {"sha256", "store"}
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise StoreError(f"{path}: damaged, its sha256 is another; restore the file, or encode the documents again")
    found = table["store"]
    if found["format"] != FORMAT:
        raise StoreError(f"{path}: store format {found['format']}, this version reads {FORMAT}; encode again")
    return _manifest(found)


def _manifest(found: Mapping[str, Any]) -> Manifest:
    # Its digest is right, so it is what write_manifest wrote.
    segments = tuple(
        SegmentRecord(
            segment["number"],
            segment["count"],
            {name: FileRecord(**record) for name, record in segment["files"].items()},
            FileRecord(**segment["deleted"]) if segment["deleted"] else None,
            segment["deleted_count"],
        )
        for segment in found["segments"]
    )
    return Manifest(found["generation"], found["next_number"], Schema(**found["schema"]), found["rebuild"], segments)


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
