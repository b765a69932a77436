"""Whether the files of a cascade changed: names, sizes, inodes and times; nothing is read but the cascade file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cascaderank.config import read_config
from cascaderank.errors import CascadeError
from cascaderank.serve.snapshot import model_folders


class Files:
    """A cascade file, the model folders it names, and a store, as they are looked at once a second."""

    def __init__(self, file: Path, store: Path | None) -> None:
        self.file = file
        self.store = store
        self._manifest = [] if store is None else [store / "store.json"]
        self._known = ""  # the cascade file as it was when its folders were found
        self._folders: list[Path] = []

    def fingerprint(self) -> str:
        """Differs where a file was put in place, changed, or taken away; also for files that are no cascade, so that
        their next change is seen."""
        lines = [_described(place) for place in (self.file, *self._manifest)]
        try:
            if lines[0] != self._known:  # finding installed models reads every package's metadata: not each second
                self._folders = model_folders(read_config(self.file))
                self._known = lines[0]
            lines += [_described(place) for folder in self._folders for place in sorted(folder.iterdir())]
        except (CascadeError, OSError) as error:
            self._known = ""
            lines.append(str(error))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _described(place: Path) -> str:
    try:
        found = place.stat()
    except OSError as error:
        return f"{place}: {error.errno}"
    return f"{place}: {found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns}"
