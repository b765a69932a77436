"""The rerank APIs as a client sees them: path, request body, and what an answer says.

Sources: the APIs' public references. Fields of cascaderank's own server that no API has (``explain``) are sent only
where asked for, and their absence in an answer is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Api:
    """``body(query, texts, top_n, model)`` makes a request; ``results`` finds the list of results in an answer, each a
    dict with ``index``."""

    name: str
    path: str
    body: Callable[[str, Sequence[str], int, str | None], Body]
    results: Callable[[Any], Any]


def _model(model: str | None) -> Body:
    return {} if model is None else {"model": model}


def _cohere(query: str, texts: Sequence[str], top_n: int, model: str | None) -> Body:
    return {**_model(model), "query": query, "documents": list(texts), "top_n": top_n}


def _jina(query: str, texts: Sequence[str], top_n: int, model: str | None) -> Body:
    return {**_cohere(query, texts, top_n, model), "return_documents": False}


def _voyage(query: str, texts: Sequence[str], top_n: int, model: str | None) -> Body:
    return {**_model(model), "query": query, "documents": list(texts), "top_k": top_n}


def _tei(query: str, texts: Sequence[str], top_n: int, model: str | None) -> Body:
    del top_n, model  # it serves one model, and answers with every text
    return {"query": query, "texts": list(texts), "truncate": True}


APIS: Mapping[str, Api] = {
    api.name: api
    for api in (
        Api("cohere", "/v2/rerank", _cohere, lambda found: found["results"]),
        Api("jina", "/v1/rerank", _jina, lambda found: found["results"]),
        Api("voyage", "/v1/rerank", _voyage, lambda found: found["data"]),
        Api("tei", "/rerank", _tei, lambda found: found),
    )
}


def order_of(api: Api, found: Any, candidates: int, top_n: int) -> list[int]:
    """The indices of the results, best first; raises ``ValueError`` for what is no answer to ``candidates`` texts."""
    try:
        order = [result["index"] for result in api.results(found)]
    except (KeyError, TypeError, IndexError):
        raise ValueError(f"not an answer of the {api.name} API") from None
    if len(set(order)) != len(order) or not all(isinstance(index, int) and 0 <= index < candidates for index in order):
        raise ValueError(f"indices that are no permutation of {candidates} documents")
    if len(order) < min(top_n, candidates):
        raise ValueError(f"{len(order)} results where {min(top_n, candidates)} were asked for")
    return order[:top_n]


def explanation_of(found: Any) -> Mapping[str, Any]:
    """The part in which cascaderank's server says how an answer came about; empty where there is none."""
    if not isinstance(found, Mapping):
        return {}
    meta = found.get("meta")
    part = meta.get("cascade") if isinstance(meta, Mapping) else found.get("cascade")
    return part if isinstance(part, Mapping) else {}
