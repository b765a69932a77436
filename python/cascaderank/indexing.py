"""Stores of collections larger than memory: documents in, a part at a time, a store folder out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from cascaderank.cascade import Cascade
from cascaderank.documents import Document, check_text
from cascaderank.errors import InputError
from cascaderank.stages.encode import PART
from cascaderank.store import Part, Schema, Truncation, Writer, checksums, truncation

COMMIT_EVERY = 1 << 16  # documents: a run that is interrupted loses at most so many


@dataclass(frozen=True, slots=True)
class IndexReport:
    """Documents encoded (those that replace another text of their id included), left as they were, and in the store.

    ``truncated``: of those encoded, by the digest of each encoder, what was beyond its window and so is not in its
    vectors; ``Store.truncated`` says it of the whole store.
    """

    added: int
    unchanged: int
    documents: int
    truncated: Mapping[str, Truncation]


def index_documents(
    cascade: Cascade,
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    vectors: str = "fp32",
    append: bool = False,
    rebuild: str = "",
    commit_every: int = COMMIT_EVERY,
    progress: Callable[[int], None] | None = None,
) -> IndexReport:
    """Encode ``documents`` into the store folder ``path``, made anew, or with ``append`` added to what is there.

    Appending leaves out documents that are stored already with the same text, and replaces those whose text differs;
    so an interrupted run goes on by appending the same collection. Memory holds a part of 512 documents; a commit
    follows every ``commit_every``. ``progress(done)`` is called after each part. ``rebuild`` is the command that
    readers are told when the store does not fit their models.

    Raises ``InputError`` for a text that is no string or has no UTF-8 form, an id that is no string or comes twice with
    different texts, ``StoreError`` for a store of other models or another precision, another writer at work, a full
    disk.
    """
    schema = cascade.store_schema(vectors)
    added = unchanged = done = 0
    truncated: dict[str, Truncation] = {}
    with Writer(path, schema, replace=not append, rebuild=rebuild) as writer:
        seen: dict[str, int] = {}  # of the segment under way: checksums by id
        for part in _parts(documents, PART):
            new = _unknown(writer, part, seen)
            unchanged += len(part) - len(new)
            if new:
                encoded = cascade.encode_part(new)
                writer.add(encoded)
                for digest, found in _truncation(schema, encoded).items():
                    truncated[digest] = truncated.get(digest, Truncation()) + found
                added += len(new)
            if writer.pending >= commit_every:
                writer.commit()
                # As it goes, or every 65,536 documents would keep files open; only these: what this writer found there
                # has to stay apart from what it committed, which an id that comes twice is looked up in.
                writer.compact_tail(of_this_writer=True)
                seen.clear()
            done += len(part)
            if progress is not None:
                progress(done)
        if writer.pending or writer.is_new:
            writer.commit()
        writer.compact_tail()
        return IndexReport(added, unchanged, len(writer.store), truncated)


def _truncation(schema: Schema, part: Part) -> dict[str, Truncation]:
    return truncation(schema, {key: np.diff(part.tokens[key].cu_seqlens) for key in schema.windows})


def _parts(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    source = iter(documents)
    while part := list(islice(source, size)):
        yield part


def _unknown(writer: Writer, part: Sequence[Document], seen: dict[str, int]) -> list[Document]:
    """The documents that have to be encoded; one text of an id in a run is enough, two are a mistake."""
    for document in part:
        if not isinstance(document.id, str):
            raise InputError(f"document {document.id!r}: id must be a string, got {type(document.id).__name__}")
        check_text(document.text, f"document {document.id!r}")
    sums = checksums([document.text for document in part])
    stored, of_this_run = writer.known([document.id for document in part])
    new: list[Document] = []
    for index, document in enumerate(part):
        known = seen.get(document.id)
        if known is None and stored[index] >= 0 and (of_this_run[index] or stored[index] == sums[index]):
            known = int(stored[index])
        if known is None:
            seen[document.id] = int(sums[index])
            new.append(document)
        elif known != sums[index]:
            raise InputError(f"document {document.id!r} comes twice with different texts; ids must be unique, drop one")
    return new
