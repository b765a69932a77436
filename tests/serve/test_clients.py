"""Other people's clients, unmodified, against the running server, as far as each lets its base URL be set.

LangChain's JinaRerank has its address in the source and cannot be pointed elsewhere; its request is Jina's, as
LlamaIndex's client sends it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cascaderank import Cascade
from serving import DOCUMENTS, QUERY, Program, program

KEY = "a-key"


@pytest.fixture(scope="module")
def keyed(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server that asks for a key, so that each client's way of sending one is seen."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"{KEY}\n", encoding="utf-8")
    with program(f"tiny={file}", "--api-key-file", keys, "--watch-s", "0") as served:
        yield served


@pytest.fixture(scope="module")
def expected(file: Path) -> list[tuple[int, float]]:
    """The engine's own best three."""
    with Cascade.load(file) as cascade:
        found = [(hit.index, hit.score) for hit in cascade.rank(QUERY, DOCUMENTS, top_n=3)]
    assert all(score is not None for _, score in found)
    return [(index, float(score or 0.0)) for index, score in found]


def test_cohere_2(keyed: Program, expected: list[tuple[int, float]]) -> None:
    cohere = pytest.importorskip("cohere", reason="needs the client: pip install cohere")
    with cohere.ClientV2(api_key=KEY, base_url=keyed.url) as client:
        answer = client.rerank(model="tiny", query=QUERY, documents=DOCUMENTS, top_n=3, max_tokens_per_doc=4096)
    assert [(hit.index, round(hit.relevance_score, 6)) for hit in answer.results] == expected
    assert answer.meta.billed_units.search_units == 1


def test_cohere_1(keyed: Program, expected: list[tuple[int, float]]) -> None:
    cohere = pytest.importorskip("cohere", reason="needs the client: pip install cohere")
    documents = [{"text": text} for text in DOCUMENTS]
    with cohere.Client(api_key=KEY, base_url=keyed.url) as client:
        answer = client.rerank(model="tiny", query=QUERY, documents=documents, top_n=3, return_documents=True)
    assert [(hit.index, round(hit.relevance_score, 6)) for hit in answer.results] == expected
    assert answer.results[0].document.text == "red cat"


def test_coheres_errors(keyed: Program) -> None:
    cohere = pytest.importorskip("cohere", reason="needs the client: pip install cohere")
    cases = [
        ("wrong", "tiny", DOCUMENTS, cohere.UnauthorizedError),
        (KEY, "other", DOCUMENTS, cohere.NotFoundError),
        (KEY, "tiny", [], cohere.BadRequestError),
    ]
    for key, model, documents, error in cases:
        with cohere.ClientV2(api_key=key, base_url=keyed.url) as client, pytest.raises(error) as found:
            client.rerank(model=model, query=QUERY, documents=documents)
        assert found.value.body["message"]


# Each of the rest in an interpreter of its own: they bring half a world along and warn about themselves.
LANGCHAIN_COHERE = """
from langchain_cohere import CohereRerank
from langchain_core.documents import Document
ranker = CohereRerank(base_url=url, cohere_api_key=key, model="tiny", top_n=3)
hits = ranker.rerank(documents, query)
print([(hit["index"], round(hit["relevance_score"], 6)) for hit in hits])
found = ranker.compress_documents([Document(page_content=text) for text in documents], query)
assert found[0].page_content == "red cat"
"""
LANGCHAIN_VOYAGE = """
from langchain_voyageai import VoyageAIRerank
from langchain_core.documents import Document
ranker = VoyageAIRerank(base_url=url + "/v1", voyage_api_key=key, model="tiny", top_k=3)
found = ranker.compress_documents([Document(page_content=text) for text in documents], query)
print([(documents.index(hit.page_content), round(hit.metadata["relevance_score"], 6)) for hit in found])
"""
VOYAGE = """
import voyageai
client = voyageai.Client(api_key=key, base_url=url + "/v1")
found = client.rerank(query, documents, model="tiny", top_k=3)
assert found.results[0].document == "red cat"
print([(hit.index, round(hit.relevance_score, 6)) for hit in found.results])
"""
LLAMA = """
from llama_index.core.schema import NodeWithScore, TextNode, QueryBundle
nodes = [NodeWithScore(node=TextNode(text=text, id_=str(n)), score=0.0) for n, text in enumerate(documents)]
found = ranker.postprocess_nodes(nodes, query_bundle=QueryBundle(query))
print([(int(hit.node.node_id), round(hit.score, 6)) for hit in found])
"""
LLAMA_COHERE = (
    """
from llama_index.postprocessor.cohere_rerank import CohereRerank
ranker = CohereRerank(base_url=url, api_key=key, model="tiny", top_n=3)
"""
    + LLAMA
)
LLAMA_JINA = (
    """
from llama_index.postprocessor.jinaai_rerank import JinaRerank
ranker = JinaRerank(base_url=url + "/jina/v1", api_key=key, model="tiny", top_n=3)
"""
    + LLAMA
)
LLAMA_TEI = (
    """
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
ranker = TextEmbeddingInference(base_url=url, auth_token="Bearer " + key, model_name="tiny", top_n=3)
"""
    + LLAMA
)
LITELLM = """
import litellm
found = litellm.rerank(model="{provider}/tiny", query=query, documents=documents, top_n=3, api_key=key,
                       api_base=url{path!r})
print([(hit["index"], round(hit["relevance_score"], 6)) for hit in found.results])
"""
CASES = {
    "langchain_cohere": ("langchain_cohere", LANGCHAIN_COHERE),
    "langchain_voyageai": ("langchain_voyageai", LANGCHAIN_VOYAGE),
    "voyageai": ("voyageai", VOYAGE),
    "llama_index cohere": ("llama_index.postprocessor.cohere_rerank", LLAMA_COHERE),
    "llama_index jina": ("llama_index.postprocessor.jinaai_rerank", LLAMA_JINA),
    "llama_index tei": ("llama_index.postprocessor.tei_rerank", LLAMA_TEI),
    "litellm cohere": ("litellm", LITELLM.replace("{provider}", "cohere").replace("{path!r}", "")),
    "litellm jina": ("litellm", LITELLM.replace("{provider}", "jina_ai").replace("{path!r}", ' + "/v1/rerank"')),
    "litellm vllm": ("litellm", LITELLM.replace("{provider}", "hosted_vllm").replace("{path!r}", "")),
    "litellm infinity": ("litellm", LITELLM.replace("{provider}", "infinity").replace("{path!r}", ' + "/infinity"')),
    "litellm voyage": (
        "litellm",
        LITELLM.replace("{provider}", "voyage").replace("{path!r}", ' + "/voyage/v1/rerank"'),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_clients_get_the_engines_ranking(keyed: Program, expected: list[tuple[int, float]], case: str) -> None:
    import importlib.util

    module, code = CASES[case]
    try:
        missing = importlib.util.find_spec(module) is None
    except ModuleNotFoundError:
        missing = True
    if missing:
        pytest.skip(f"needs the client {module}: pip install 'cascaderank[clients]'")
    names = f"url, key, query, documents = {keyed.url!r}, {KEY!r}, {QUERY!r}, {DOCUMENTS!r}\n"
    command = [sys.executable, "-W", "ignore", "-c", names + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().splitlines()[-1] == str(expected)
