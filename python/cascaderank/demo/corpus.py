"""The demo's corpus: the documentation that the running Python carries, as passages to search."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator

from cascaderank.demo.docstrings import Reader
from cascaderank.demo.modules import module_names, walk_modules
from cascaderank.demo.passages import split_text
from cascaderank.demo.topics import read_topics
from cascaderank.documents import Document
from cascaderank.errors import InputError

Progress = Callable[[int, int], None]


def read_corpus(progress: Progress | None = None) -> list[Document]:
    """Passages of the standard library's docstrings and of the language reference, several thousand.

    Ids are ``module.qualname`` (``functools.lru_cache``, ``collections.deque.rotate``) and ``topic:NAME``, with
    ``#2``, ``#3`` ... for the later pieces of a long text. A passage starts with the name and the signature, or with
    the topic's title. Names with a leading underscore, inherited docstrings, docstrings under five words and exact
    repetitions are left out. Ids and order are the same on every run of one interpreter with the same modules.

    The modules are imported into this process, quietly; this takes a second or two. ``progress`` is called
    with (modules read, modules in all). Raises InputError where Python carries no docstrings.
    """
    if sys.flags.optimize >= 2 or not (sum.__doc__ and read_corpus.__doc__):
        raise InputError(
            "the demo searches Python's own documentation, and this Python has none: docstrings are dropped by -OO or "
            f"PYTHONOPTIMIZE=2 (sys.flags.optimize is {sys.flags.optimize}, it must be 0 or 1), or were left out when "
            "it was built; start Python without that setting"
        )
    documents: list[Document] = []
    seen: set[tuple[str, str]] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # looking at what is deprecated is not using it
        for name, header, body in _sources(progress):
            key = (name.rpartition(".")[2], " ".join(body.split()))
            if key in seen:
                continue
            seen.add(key)
            for number, piece in enumerate(split_text(body), start=1):
                documents.append(Document(name if number == 1 else f"{name}#{number}", f"{header}\n{piece}"))
    return documents


def corpus_digest(documents: Iterable[Document]) -> str:
    """SHA-256 (64 hexadecimal digits) over ids and texts in order: equal exactly when the corpus is the same."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.id or "", document.text):
            encoded = part.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
    return digest.hexdigest()


def _sources(progress: Progress | None) -> Iterator[tuple[str, str, str]]:
    """(id, first line, text) of everything documented, modules first, then topics."""
    names = module_names()
    reader = Reader(frozenset(names))
    for done, top in enumerate(names, start=1):
        # All of a package is imported before any of it is read: a submodule may take the place of a function.
        for name, module in list(walk_modules(top)):
            for entry in reader.read(name, module):
                yield entry.name, f"{entry.name}{entry.signature}", entry.docstring
        if progress is not None:
            progress(done, len(names))
    for topic, title, text in read_topics():
        yield f"topic:{topic}", title, text
