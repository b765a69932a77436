"""The pages in a real browser, the OpenAPI description, and that nothing is fetched from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cascaderank.serve import Settings
from cascaderank.serve.app import SHAPES
from cascaderank.serve.openapi import openapi
from serving import DOCUMENTS, QUERY, Program, inside

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: the pages are not opened in a browser")


def dom(url: str, folder: Path, until_ms: int = 8000) -> str:
    """A page's document after its scripts ran, as the browser has it."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={folder / 'profile'}",
        f"--virtual-time-budget={until_ms}", "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_chromium
def test_a_query_is_tried_and_the_stages_are_seen(server: Program, tmp_path: Path) -> None:
    page = dom(f"{server.url}/#run", tmp_path)
    assert 'data-loaded="yes"' in page
    assert '<option value="tiny">tiny</option>' in page
    stages = re.search(r'<tbody id="stages">(.*?)</tbody>', page, flags=re.DOTALL)
    assert stages is not None
    rows = [re.findall(r"<td[^>]*>([^<]*)", row) for row in stages[1].split("</tr>")[:-1]]
    assert [row[:4] for row in rows] == [["bi", "4", "4", "4"], ["ce", "4", "4", "2"]]
    hits = re.search(r'<tbody id="hits">(.*?)</tbody>', page, flags=re.DOTALL)
    assert hits is not None
    assert hits[1].count("<tr>") == 4
    assert "A week has seven days" in hits[1]
    assert '<p id="error" role="alert"></p>' in page


@needs_chromium
def test_the_api_is_described_offline(server: Program, tmp_path: Path) -> None:
    page = dom(f"{server.url}/docs", tmp_path)
    assert page.count("<details>") == len(openapi()["paths"])
    for path in SHAPES:
        assert f"<code>{path}</code>" in page
    assert "top_n" in page
    assert "integer ≥ 1" in page


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_nothing_of_another_host_is_in_a_page(settings: Settings, path: str) -> None:
    response: httpx.Response = inside(settings, lambda client, _: client.get(path))
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", response.text)
    assert "innerHTML" not in response.text  # texts of users and models go in as text


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_the_openapi_description_is_whole(settings: Settings) -> None:
    response: httpx.Response = inside(settings, lambda client, _: client.get("/openapi.json"))
    described = msgspec.json.decode(response.content)
    assert described["openapi"].startswith("3.1")
    assert set(SHAPES) < set(described["paths"])
    found = {name.removeprefix("#/components/schemas/") for name in references(described)}
    assert found <= set(described["components"]["schemas"])
    assert "429" in described["paths"]["/v2/rerank"]["post"]["responses"]


def test_every_answer_has_the_fields_that_are_described(settings: Settings) -> None:
    described = openapi()
    schemas = described["components"]["schemas"]

    async def work(client: httpx.AsyncClient, _: Any) -> None:
        for path in SHAPES:
            words = {"texts": DOCUMENTS} if path in ("/rerank", "/tei/rerank") else {"documents": DOCUMENTS}
            answer = (await client.post(path, json={"query": QUERY, **words, "explain": True})).json()
            content = described["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
            name = (content.get("items") or content)["$ref"].rpartition("/")[2]
            fields = schemas[name]
            one = answer[0] if isinstance(answer, list) else answer
            assert set(one) <= set(fields["properties"])
            assert set(fields["required"]) <= set(one)

    inside(settings, work)
