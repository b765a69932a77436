"""The judged collection that a command measures on, and its documents encoded ahead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cascaderank.cascade import Cascade
    from cascaderank.demo.questions import Split
    from cascaderank.documents import Document
    from cascaderank.evaluate import BeirData
    from cascaderank.evaluate.requests import Request
    from cascaderank.store import Store


def name_of(path: Path) -> str:
    """A file's or a folder's own name as reports and manifests can hold it: bytes that are no UTF-8 as escapes."""
    return path.name.encode("utf-8", "backslashreplace").decode("utf-8")


def read_collection(folder: Path | None, split: str | None, default: str) -> tuple[BeirData, str]:
    """A folder in BEIR's layout (its split ``default`` where none is named), or the packaged questions about Python's
    documentation for None; and what to call it."""
    from cascaderank.evaluate import BeirData, load_beir

    if folder is not None:
        split = split or default
        return load_beir(folder, split), f"{name_of(folder.resolve())}, {split}"
    from cascaderank.cli.demo import read_documents
    from cascaderank.cli.terminal import say
    from cascaderank.demo.questions import absent_passages, load_questions

    split = split or "dev"
    questions = load_questions(cast("Split", split))  # refuses what is neither half
    corpus = {document.id: document.text for document in read_documents()}
    absent = absent_passages(questions, corpus)
    if absent:
        say(f"cascaderank: note: this Python lacks {len(absent)} labelled passages; recall counts them as missed")
    return (
        BeirData(
            corpus,
            {question.id: question.question for question in questions},
            {question.id: dict(question.relevant) for question in questions},
        ),
        f"questions about Python's documentation, {split}",
    )


def open_store(cascade: Cascade, file: Path) -> Store:
    """An existing store, compared with what the cascade needs of it before any query is asked. Raises ``StoreError``
    naming the model whose tokens or vectors it lacks, and the command that makes it anew."""
    from cascaderank.errors import StoreError
    from cascaderank.store import Store

    store, wanted = Store.open(file), cascade.store_schema()
    for what, needed, held in (
        ("vectors", wanted.vectors, store.schema.vectors),
        ("token vectors", wanted.token_vectors, store.schema.token_vectors),
    ):
        for digest, dimension in needed.items():
            if held.get(digest) != dimension:
                made_by = ", ".join(sorted(store.models.values()))
                raise StoreError(
                    f"{file}: no {what} of model {wanted.models[digest]!r} ({digest[:12]}); it was made by {made_by}; "
                    f"{store.remedy}"
                )
    if not wanted.tokens.keys() <= store.schema.tokens.keys():
        raise StoreError(f"{file}: its tokens are of another tokenizer than this cascade's; {store.remedy}")
    return store


def open_documents(cascade: Cascade, file: Path, documents: Sequence[Document], what: str) -> Store:
    """``open_store``, and every one of ``documents`` (``what`` they are: candidates, the corpus's) is in it with the
    text it has here: requests by ids read nothing but the store, so a text that changed since would be measured as it
    was. Raises ``StoreError``."""
    from cascaderank.documents import read_documents
    from cascaderank.errors import StoreError

    store = open_store(cascade, file)
    columns = read_documents(documents, None, len(documents))
    missing = [name for name, row in zip(columns.ids, store.find(columns.ids).tolist(), strict=True) if row < 0]
    if missing:
        raise StoreError(
            f"{file}: lacks {len(missing)} of the {len(documents)} {what}, such as {missing[0]!r}; add them with "
            f"`cascaderank index CORPUS {file} --append` (and --cascade as it was made), or name another "
            "folder after --store"
        )
    try:
        store.rows(columns)
    except StoreError as error:
        raise StoreError(f"{file}: {error}") from None
    return store


def encode_candidates(
    cascade: Cascade, data: BeirData, requests: list[Request], file: Path | None, *, packaged: bool
) -> Store:
    """Documents encoded ahead: from ``file``, from the demo's cache where the collection is the ``packaged`` one, or
    now (only those that are candidates; written to ``file`` where one is named)."""
    from cascaderank.cli.demo import load_vectors
    from cascaderank.cli.terminal import progress
    from cascaderank.documents import Document
    from cascaderank.evaluate.requests import candidate_documents

    if file is not None and file.exists():
        return open_documents(cascade, file, candidate_documents(requests), "candidates")
    if packaged and file is None:
        return load_vectors(cascade, [Document(name, text) for name, text in data.corpus.items()]).store
    with progress("encoding the candidates, ahead of the requests") as report:
        store = cascade.encode(candidate_documents(requests), report)
    if file is not None:
        store.save(file)
    return store
