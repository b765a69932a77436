"""A store folder as a writer finds it: is it one, may it become one, does it fit, what lies about."""

from __future__ import annotations

from pathlib import Path

from cascaderank.errors import StoreError
from cascaderank.store.columns import Schema
from cascaderank.store.files import sync_folder
from cascaderank.store.lock import LOCK
from cascaderank.store.manifest import MANIFEST, Manifest, is_store


def prepare_folder(folder: Path, schema: Schema | None) -> None:
    """Make the folder where there is none. Raises ``StoreError`` where there is something else, or nothing and no
    schema to make it with."""
    if is_store(folder):
        return
    if folder.is_file():
        raise StoreError(f"{folder}: is a file; stores are folders, give another name")
    if schema is None:
        raise StoreError(f"{folder}: no store there; `cascaderank index CORPUS {folder}` makes one")
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    foreign = sorted(item.name for item in folder.iterdir() if not _ours(item.name))
    if foreign:
        raise StoreError(f"{folder}: no store, but it holds {foreign[0]!r}; give a new or an empty folder")


def clean_folder(folder: Path, manifest: Manifest | None) -> None:
    """Remove files that the manifest does not name: of a writer that was killed, or of an older generation."""
    named = {MANIFEST, LOCK}
    if manifest is not None:
        named |= {file.name for segment in manifest.segments for file in segment.all_files}
    for item in folder.iterdir():
        if item.name not in named and _ours(item.name):
            item.unlink(missing_ok=True)


def first_free_number(folder: Path, manifest: Manifest | None) -> int:
    """The next segment's number. Beside a damaged manifest lie files that nobody can name: theirs are not used."""
    if manifest is not None:
        return manifest.next_number
    return max((int(item.name[:8]) for item in folder.iterdir() if item.name[:8].isdigit()), default=0) + 1


def check_schema(folder: Path, wanted: Schema, manifest: Manifest) -> None:
    """Raises ``StoreError`` saying how the store differs, and the command that makes it anew."""
    found = manifest.schema
    if found.columns_by == wanted.columns_by:
        return
    made_by = f"was made by other models ({', '.join(sorted(found.models.values()))})"
    strangers = sorted(set(wanted.models.values()) - set(found.models.values()))
    changed = [name for digest, name in wanted.models.items() if digest not in found.models]
    if found.precision != wanted.precision:
        what = f"keeps vectors in {found.precision}, not {wanted.precision}"
    elif strangers:
        what = f"knows nothing of model {strangers[0]!r}; it {made_by}"
    elif changed:
        what = f"was made by another version of model {changed[0]!r}"
    else:
        what = made_by
    raise StoreError(f"{folder}: the store {what}; {manifest.remedy}")


def _ours(name: str) -> bool:
    return name in (MANIFEST, LOCK, f"{MANIFEST}.partial") or (name[:8].isdigit() and name[8:9] == ".")
