"""The rerank APIs: fields, defaults, answers and errors in each one's own shape; in all the engine's own ranking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from cascaderank import Cascade
from cascaderank.serve import Service, Settings
from cascaderank.serve.request import as_candidates
from serving import DOCUMENTS, QUERY, inside, post

BODY = {"query": QUERY, "documents": DOCUMENTS}
ORDER = [3, 1, 0, 5, 2, 4]


@pytest.mark.parametrize(
    ("path", "words", "results", "score"),
    [
        ("/v2/rerank", {"documents": DOCUMENTS}, "results", "relevance_score"),
        ("/v1/rerank", {"documents": DOCUMENTS}, "results", "relevance_score"),
        ("/v1/rerank", {"documents": DOCUMENTS, "truncation": True}, "data", "relevance_score"),
        ("/jina/v1/rerank", {"documents": DOCUMENTS}, "results", "relevance_score"),
        ("/voyage/v1/rerank", {"documents": DOCUMENTS}, "data", "relevance_score"),
        ("/rerank", {"texts": DOCUMENTS}, None, "score"),
        ("/rerank", {"documents": DOCUMENTS}, "results", "relevance_score"),
    ],
)
def test_every_api_gives_the_ranking_of_the_engine(
    settings: Settings, file: Path, path: str, words: dict[str, Any], results: str | None, score: str
) -> None:
    """Order and the scores of those that reached the last stage are the engine's own, to the last bit."""
    response = post(settings, path, {"query": QUERY, "model": "tiny", **words})
    assert response.status_code == 200, response.text
    found = response.json() if results is None else response.json()[results]
    with Cascade.load(file) as cascade:
        ranking = cascade.rank(QUERY, DOCUMENTS)
    assert [hit["index"] for hit in found] == ranking.order.tolist() == ORDER
    for hit, own in zip(found, ranking, strict=True):
        if own.stage == "ce":
            assert np.float32(hit[score]) == own.score
    values = [hit[score] for hit in found]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)  # a client that sorts again keeps the order


def test_cohere(settings: Settings) -> None:
    answer = post(settings, "/v2/rerank", {**BODY, "top_n": 2}, {"x-request-id": "mine-1"}).json()
    assert answer == {
        "id": "mine-1",
        "results": [{"index": 3, "relevance_score": 2.0}, {"index": 1, "relevance_score": 1.0}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1, "total_tokens": 50}},
    }


def test_cohere_1_takes_objects_fields_and_returns_documents(settings: Settings) -> None:
    documents = [{"title": "red", "text": "cat"}, {"title": "cat", "text": "cat"}, "red dog"]
    body = {"query": QUERY, "documents": documents, "rank_fields": ["title", "text"], "return_documents": True}
    for path in ("/v1/rerank", "/cohere/v1/rerank"):
        results = post(settings, path, body).json()["results"]
        assert [hit["relevance_score"] for hit in results] == pytest.approx([2.0, 2.0, 1.0])
        assert [hit["index"] for hit in results] == [0, 1, 2]  # equal scores keep the stage before's order
        assert results[0]["document"] == documents[0]
        assert results[2]["document"] == {"text": "red dog"}


def test_jina_returns_documents_unless_asked_not_to(settings: Settings) -> None:
    answer = post(settings, "/jina/v1/rerank", BODY).json()
    assert answer["results"][0] == {"index": 3, "relevance_score": 2.0, "document": {"text": "red cat"}}
    assert answer["model"] == "tiny"
    assert answer["usage"] == {"total_tokens": 50, "prompt_tokens": 50}
    answer = post(settings, "/jina/v1/rerank", {**BODY, "return_documents": False}).json()
    assert "document" not in answer["results"][0]


def test_voyage(settings: Settings) -> None:
    body = {**BODY, "top_k": 1, "return_documents": True, "truncation": True}
    for path in ("/v1/rerank", "/voyage/v1/rerank"):
        answer = post(settings, path, body).json()
        assert answer == {
            "object": "list",
            "data": [{"index": 3, "relevance_score": 2.0, "document": "red cat"}],
            "model": "tiny",
            "usage": {"total_tokens": 50},
        }


def test_text_embeddings_inference(settings: Settings) -> None:
    body = {"query": QUERY, "texts": DOCUMENTS[:2], "return_text": True, "raw_scores": True, "truncate": True}
    response = post(settings, "/rerank", body)
    assert response.json() == [{"index": 1, "score": 1.0, "text": "cat"}, {"index": 0, "score": 1.0, "text": "red dog"}]
    assert int(response.headers["x-compute-tokens"]) > 0


def test_explain_says_what_each_stage_did(settings: Settings) -> None:
    answer = post(settings, "/v2/rerank", {**BODY, "explain": True}).json()
    how = answer["meta"]["cascade"]
    assert (how["cascade"], how["generation"], how["score"], how["kept"]) == ("tiny", 1, "none", 2)
    assert [(stage["name"], stage["candidates_in"], stage["candidates_out"]) for stage in how["stages"]] == [
        ("bi", 6, 4),
        ("ce", 4, 2),
    ]
    last = answer["results"][-1]
    assert last["stage"] == "bi"
    assert last["scores"][1] is None


LONG = " ".join(["red"] * 60)


def test_a_long_document_is_cut_and_said_not_refused(settings: Settings) -> None:
    """One long document among many changes no other score (rivals refuse the whole request, or cut in silence)."""
    plain = post(settings, "/v2/rerank", {"query": QUERY, "documents": [*DOCUMENTS[:3], "dog"]})
    response = post(settings, "/v2/rerank", {"query": QUERY, "documents": [*DOCUMENTS[:3], LONG]})
    assert response.status_code == 200
    assert response.headers["x-truncated-documents"]
    assert any("cut 1 documents" in text for text in response.json()["meta"]["warnings"])
    others = [{hit["index"]: hit["relevance_score"] for hit in found.json()["results"]} for found in (plain, response)]
    assert [others[0][index] for index in range(2)] == [others[1][index] for index in range(2)]


@pytest.mark.parametrize(
    ("path", "words", "status"),
    [
        ("/voyage/v1/rerank", {"documents": [LONG], "truncation": False}, 400),
        ("/v1/rerank", {"documents": [LONG], "truncation": False}, 400),
        ("/rerank", {"texts": [LONG], "truncate": False}, 413),
    ],
)
def test_who_asks_not_to_cut_gets_an_error(settings: Settings, path: str, words: dict[str, Any], status: int) -> None:
    response = post(settings, path, {"query": QUERY, **words})
    assert response.status_code == status
    assert "truncation" in response.text


@pytest.mark.parametrize("path", ["/v2/rerank", "/v1/rerank", "/jina/v1/rerank", "/infinity/rerank"])
def test_max_tokens_per_doc_cuts_and_says_so(settings: Settings, path: str) -> None:
    """Of "red red cat" two tokens are the scores of "red red": the last stage counts words of the query."""
    body = {"query": QUERY, "documents": ["red red cat", "dog"], "max_tokens_per_doc": 2}
    whole, cut = (post(settings, path, {**body, "max_tokens_per_doc": limit}) for limit in (3, 2))
    assert (whole.json()["results"][0]["relevance_score"], cut.json()["results"][0]["relevance_score"]) == (3.0, 2.0)
    assert "x-truncated-documents" not in whole.headers
    assert cut.headers["x-truncated-documents"] == "2"  # one, by two stages
    if "meta" in cut.json():
        assert cut.json()["meta"]["warnings"][0] == "stage 'bi' cut 1 documents to 2 tokens, or to its window"
    assert post(settings, path, {**body, "max_tokens_per_doc": 0}).status_code == 422


ERRORS = [
    ("/v2/rerank", lambda answer: set(answer) == {"message", "id"}),
    ("/v1/rerank", lambda answer: set(answer) == {"message", "detail", "id"}),
    ("/jina/v1/rerank", lambda answer: set(answer) == {"detail"}),
    ("/voyage/v1/rerank", lambda answer: set(answer) == {"detail"}),
    ("/rerank", lambda answer: set(answer) == {"error", "error_type"}),
]
WRONG: list[tuple[Any, int, str]] = [
    (b"", 400, "not valid JSON"),
    (b"{", 400, "not valid JSON"),
    (b'{"query": "\xff"}', 400, "not valid JSON"),
    (b'{"query": "\\ud800", "documents": ["a"]}', 400, "not valid JSON"),
    (b'{"query": "a", "x": ' + b"[" * 100000, 400, "nested too deeply"),
    ({"query": 1}, 422, "$.query"),
    ({"query": "red"}, 400, "documents"),
    ({"query": "red", "documents": []}, 400, "empty"),
    ({"query": " ", "documents": ["a"]}, 400, "query: empty"),
    ({"query": " ".join(["red"] * 50), "documents": ["a"]}, 400, "query"),
    ({"query": "red", "documents": ["a"], "model": "other"}, 404, "no such cascade; this server has 'tiny'"),
    ({"query": "red", "documents": ["a"], "deadline_ms": 0}, 422, "deadline_ms"),
    ({"query": "red", "documents": ["a"], "ids": ["a"]}, 400, "not both"),
    ({"query": "red", "ids": ["a"]}, 400, "store"),
    ({"query": "red", "documents": ["a"], "scores": [1, 2]}, 400, "scores"),
    ({"query": "red", "documents": ["a"], "instruction": "x"}, 400, "instruction"),
]


@pytest.mark.parametrize(("path", "shaped"), ERRORS)
def test_errors_are_said_in_each_apis_own_shape(settings: Settings, path: str, shaped: Any) -> None:
    async def work(client: Any, _: Any) -> None:
        for body, status, text in WRONG:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            if path == "/rerank":
                content = content.replace(b'"documents"', b'"texts"')
            response = await client.post(path, content=content)
            if path == "/rerank" and body == {"query": "red"}:
                status = 422  # as that server says it
            assert response.status_code == status, (body, response.text)
            assert shaped(response.json()), response.text
            assert text in response.text or path == "/rerank", (text, response.text)

    inside(settings, work)


@pytest.mark.parametrize("path", ["/v2/rerank", "/v1/rerank", "/jina/v1/rerank"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", True])
def test_top_n_is_a_positive_integer(settings: Settings, path: str, value: Any) -> None:
    assert post(settings, path, {**BODY, "top_n": value}).status_code == 422


@pytest.mark.parametrize("value", [1000, 10**30])
def test_top_n_over_the_number_of_documents_gives_all(settings: Settings, value: int) -> None:
    assert len(post(settings, "/v2/rerank", {**BODY, "top_n": value}).json()["results"]) == len(DOCUMENTS)


def test_hard_texts_get_scores(settings: Settings) -> None:
    documents = ["", "\x00", "[SEP]", QUERY, "\u200b", "🎉", "a" * 100_000]
    response = post(settings, "/v2/rerank", {"query": QUERY, "documents": documents})
    assert response.status_code == 200, response.text
    assert response.json()["results"][0]["index"] == 3


def test_ids_of_a_store(models: Path, tmp_path: Path) -> None:
    """Nothing but the query is tokenised; the order is that of the texts."""
    path = tmp_path / "stored.toml"
    path.write_text(f'[[stage]]\nmodel = "{models / "bi"}"\nkeep = 4\n[[stage]]\nmodel = "{models / "ce"}"\nkeep = 2\n')
    names = [f"d{index}" for index in range(len(DOCUMENTS))]
    with Cascade.load(path) as cascade:
        cascade.encode([{"id": name, "text": text} for name, text in zip(names, DOCUMENTS, strict=True)]).save(
            tmp_path / "docs.store"
        )
    settings = Settings(cascades={"stored": path}, stores={"stored": tmp_path / "docs.store"}, watch_s=0.0)
    answer = post(settings, "/v2/rerank", {"query": QUERY, "ids": names, "explain": True}).json()
    assert [hit["index"] for hit in answer["results"]] == ORDER
    assert "encoded" not in answer["meta"]["cascade"]["stages"][0]["note"]
    wrong = post(settings, "/v2/rerank", {"query": QUERY, "ids": ["d0", "nobody"]})
    assert wrong.status_code == 400
    assert "nobody" in wrong.text
    assert post(settings, "/jina/v1/rerank", {"query": QUERY, "ids": names}).status_code == 200


def test_texts_beside_a_store(models: Path, tmp_path: Path) -> None:
    """A cascade with a store ranks texts that are not in it, with and without ids."""
    path = tmp_path / "stored.toml"
    path.write_text(f'[[stage]]\nmodel = "{models / "bi"}"\nkeep = 4\n')
    with Cascade.load(path) as cascade:
        cascade.encode([{"id": "a", "text": "red cat"}]).save(tmp_path / "docs.store")
    settings = Settings(cascades={"stored": path}, stores={"stored": tmp_path / "docs.store"}, watch_s=0.0)
    for documents in (["dog", "red cat"], [{"id": "b", "text": "dog"}, {"id": "a", "text": "red cat"}]):
        answer = post(settings, "/v2/rerank", {"query": QUERY, "documents": documents})
        assert [hit["index"] for hit in answer.json()["results"]] == [1, 0], answer.text


OWN_KEYS: list[list[Any]] = [
    [{"id": "1", "text": "dog"}, {"text": "red cat"}],
    [{"id": "1", "text": "dog"}, {"id": "1", "text": "red cat"}],
    [{"id": 7, "text": "dog"}, {"id": 8, "text": "red cat"}],
    [{"id": None, "text": "dog"}, {"id": ["a"], "text": "red cat"}],
    [{"id": "a", "text": "dog"}, "red cat"],
    [{"score": "0.9", "text": "dog"}, {"score": "0.1", "text": "red cat"}],
    [{"score": 0.9, "text": "dog"}, {"text": "red cat"}],
    [{"score": True, "text": "dog"}, {"score": False, "text": "red cat"}],
    [{"score": 1e39, "text": "dog"}, {"score": 1, "text": "red cat"}],
]


@pytest.mark.parametrize("documents", OWN_KEYS)
def test_an_objects_other_keys_are_the_callers_own(settings: Settings, documents: list[Any]) -> None:
    async def work(client: httpx.AsyncClient, _: Service) -> None:
        for path in ("/v2/rerank", "/v1/rerank", "/jina/v1/rerank", "/voyage/v1/rerank", "/infinity/rerank"):
            answer = await client.post(path, json={"query": QUERY, "documents": documents})
            assert answer.status_code == 200, answer.text
            hits = answer.json().get("results") or answer.json()["data"]
            assert [hit["index"] for hit in hits] == [1, 0]

    inside(settings, work)


def test_ids_and_scores_that_are_good_for_all_count() -> None:
    documents: list[Any] = [{"id": "a", "score": 1, "text": "dog", "more": 1}, {"id": "b", "score": 0.5, "text": "cat"}]
    expected = [{"id": "a", "score": 1, "text": "dog"}, {"id": "b", "score": 0.5, "text": "cat"}]
    assert as_candidates(documents) == expected
    assert as_candidates([*documents, {"id": "b", "score": 2.0, "text": "fish"}])[0] == {"score": 1, "text": "dog"}
    assert as_candidates([*documents, {"id": "c", "text": "fish"}])[0] == {"id": "a", "text": "dog"}


def test_several_cascades_by_name(file: Path, models: Path, tmp_path: Path) -> None:
    """The request's model chooses; the first is taken where it names none."""
    path = tmp_path / "other.toml"
    path.write_text(f'[cascade]\nmax_candidates = 3\n[[stage]]\nmodel = "{models / "ce"}"\nkeep = 1\n')
    settings = Settings(cascades={"first": file, "other": path}, watch_s=0.0)

    async def work(client: Any, _: Any) -> None:
        for body, name, stages in (
            ({}, "first", 2),
            ({"model": "first"}, "first", 2),
            ({"model": "other"}, "other", 1),
        ):
            answer = await client.post(
                "/v2/rerank", json={**BODY, "documents": ["red", "cat"], "explain": True, **body}
            )
            how = answer.json()["meta"]["cascade"]
            assert (how["cascade"], len(how["stages"])) == (name, stages)
        refused = await client.post("/v2/rerank", json={**BODY, "model": "other"})
        assert refused.status_code == 413
        assert "at most 3" in refused.json()["message"]
        listed = (await client.get("/v1/models")).json()["data"]
        assert [one["id"] for one in listed] == ["first", "other"]

    inside(settings, work)


def test_first_pass_scores_take_part(settings: Settings) -> None:
    documents = [{"text": "fish", "score": 1.0, "id": "a"}, {"text": "fish", "score": 2.0, "id": "b"}]
    answer = post(settings, "/v2/rerank", {"query": QUERY, "documents": documents}).json()
    assert [hit["index"] for hit in answer["results"]] == [1, 0]
