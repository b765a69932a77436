"""Documents as the caller gives them, checked and turned into plain columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import InputError


@dataclass(frozen=True, slots=True)
class Document:
    """A text to rank.

    ``id`` is any string that is unique within one request; ``score`` is the first pass's score, larger is better.
    """

    id: str
    text: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """One request's documents as columns.

    ``texts`` is empty when the request names ids of a store only; ``ids`` is empty when the caller gave plain
    strings (a hit's id is then its index as a string); ``scores`` is float32 ``[n]`` or None.
    """

    size: int
    texts: Sequence[str]
    ids: Sequence[str]
    scores: NDArray[np.float32] | None

    def id_of(self, index: int) -> str:
        return self.ids[index] if self.ids else str(index)

    def describe(self, index: int) -> str:
        return f"documents[{index}] (id {self.ids[index]!r})" if self.ids else f"documents[{index}]"


def check_text(text: object, where: str) -> str:
    """Return ``text`` if it is a string that has an UTF-8 form, else raise ``InputError`` naming ``where``."""
    if not isinstance(text, str):
        raise InputError(f"{where}: expected a string, got {type(text).__name__}; pass the text itself")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(
                f"{where}: lone surrogate U+{ord(text[error.start]):04X} at character {error.start}; the text has no "
                "UTF-8 form, repair it with text.encode('utf-8', 'replace').decode() before ranking"
            ) from None
    return text


def check_query(query: object) -> str:
    """Return a query that can be ranked with; an empty one is the caller's error."""
    text = check_text(query, "query")
    if not text.strip():
        raise InputError("query: empty or only white space; there is nothing to rank by")
    return text


def read_documents(
    documents: Sequence[object], scores: Sequence[float] | NDArray[np.floating[Any]] | None, limit: int
) -> Candidates:
    """Turn strings, dicts with ``id``/``text``/``score`` or ``Document`` objects into ``Candidates``.

    The first document decides the form; mixing forms is refused. Raises ``InputError`` naming the index.
    """
    if isinstance(documents, (str, bytes)) or not isinstance(documents, Sequence):
        raise InputError(
            f"documents: expected a list of strings, dicts or Document, got {type(documents).__name__}; "
            "wrap a single text in a list"
        )
    check_count(len(documents), limit)
    if not documents:
        return Candidates(0, (), (), read_scores(scores, 0))
    if isinstance(documents[0], str):
        texts = [text if _plain(text) else check_text(text, f"documents[{i}]") for i, text in enumerate(documents)]
        return Candidates(len(texts), texts, (), read_scores(scores, len(texts)))
    return _read_columns(documents, scores)


def _read_columns(
    documents: Sequence[object], scores: Sequence[float] | NDArray[np.floating[Any]] | None
) -> Candidates:
    """Dicts or ``Document`` objects as columns. A thousand of them come with every request, so messages are built only
    for what is wrong."""
    ids: list[str] = []
    texts: list[str] = []
    own: list[float | None] = []
    for index, document in enumerate(documents):
        identifier, text, score = _fields(document, index)
        if type(identifier) is not str or not _plain(text) or not (score is None or type(score) is float):
            identifier, text, score = _check_fields(identifier, text, score, index)
        ids.append(identifier)
        texts.append(text)
        own.append(score)
    if len(set(ids)) < len(ids):
        _check_places(documents, ids)
        check_ids(ids)
    if scores is None and any(score is not None for score in own):
        if None in own:
            index = own.index(None)
            raise InputError(
                f"documents[{index}] (id {ids[index]!r}): no first-pass score, but other documents have one; "
                "give all of them a score or none"
            )
        return Candidates(len(ids), texts, ids, read_scores(own, len(ids)))
    return Candidates(len(ids), texts, ids, read_scores(scores, len(ids)))


def _check_places(documents: Sequence[object], ids: Sequence[str]) -> None:
    """A document without an id has its place as one, which another document may have been given."""
    given = {ids[at]: at for at, one in enumerate(documents) if not isinstance(one, Mapping) or "id" in one}
    for index, document in enumerate(documents):
        if isinstance(document, Mapping) and "id" not in document and ids[index] in given:
            raise InputError(
                f"documents[{index}]: no id, and its place, {ids[index]!r}, which stands for it, is the id of "
                f"documents[{given[ids[index]]}]; give every document an id, or none"
            )


def read_ids(ids: Sequence[str], scores: Sequence[float] | NDArray[np.floating[Any]] | None, limit: int) -> Candidates:
    """Candidates named by ids of a store; their tokens and vectors come from there, so no text is needed."""
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Sequence):
        raise InputError(f"ids: expected a list of strings, got {type(ids).__name__}")
    check_count(len(ids), limit)
    for index, value in enumerate(ids):
        if not isinstance(value, str):
            raise InputError(f"ids[{index}]: expected a string, got {type(value).__name__}")
    check_ids(ids)
    return Candidates(len(ids), (), ids, read_scores(scores, len(ids)))


def check_count(count: int, limit: int) -> None:
    if count > limit:
        raise InputError(
            f"documents: {count} candidates, at most {limit} are taken; send fewer (a first pass should choose them) "
            "or raise max_candidates of the cascade"
        )


def check_ids(ids: Sequence[str]) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, int] = {}
    for index, value in enumerate(ids):
        if value in seen:
            raise InputError(
                f"documents[{index}]: id {value!r} repeats documents[{seen[value]}]; ids must be unique in a request, "
                "drop the repetition or give it another id"
            )
        seen[value] = index


def read_scores(
    scores: Sequence[float | None] | NDArray[np.floating[Any]] | None, count: int
) -> NDArray[np.float32] | None:
    """First-pass scores as float32 ``[count]``; refuses a wrong length and values that are not finite."""
    if scores is None:
        return None
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes inf, refused below
            values = np.ascontiguousarray(scores, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"scores: expected numbers, larger is better ({error})") from None
    if values.shape != (count,):
        raise InputError(f"scores: shape {values.shape} for {count} documents; give one score per document")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InputError(f"scores[{bad[0]}]: {float(values[bad[0]])} is not a finite first-pass score")
    return values


def _plain(text: object) -> TypeGuard[str]:
    """A string that certainly has an UTF-8 form; reading one flag, where checking would encode the text."""
    return type(text) is str and text.isascii()


def _fields(document: object, index: int) -> tuple[Any, Any, Any]:
    if type(document) is Document:
        return document.id, document.text, document.score
    if isinstance(document, Mapping):
        if "text" not in document:
            raise InputError(
                f"documents[{index}]: no 'text'; has {sorted(map(str, document))}, expected id, text and score"
            )
        return document.get("id", str(index)), document["text"], document.get("score")
    raise InputError(
        f"documents[{index}]: expected a dict with 'text' or a Document like the first one, got "
        f"{type(document).__name__}"
    )


def _check_fields(identifier: object, text: object, score: object, index: int) -> tuple[str, str, float | None]:
    if not isinstance(identifier, str):
        raise InputError(f"documents[{index}]: id must be a string, got {type(identifier).__name__}; use str(id)")
    where = f"documents[{index}] (id {identifier!r})"
    if score is None:
        return identifier, check_text(text, where), None
    if isinstance(score, bool) or not isinstance(score, (int, float, np.floating, np.integer)):
        raise InputError(f"{where}: score must be a number, got {type(score).__name__}")
    return identifier, check_text(text, where), float(score)
