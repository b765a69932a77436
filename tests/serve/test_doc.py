"""docs/serve.md and docs/reliability.md say what there is: paths, options, metrics, tests."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from cascaderank.cli.main import build_parser
from cascaderank.serve import Service, Settings
from cascaderank.serve.openapi import openapi
from serving import DOCUMENTS, QUERY, Program, inside

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")


def test_every_path_is_named() -> None:
    for path in openapi()["paths"]:
        assert f"{path}`" in DOC, path


def test_the_options_it_names_exist() -> None:
    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    assert commands.choices is not None
    known = {flag for command in ("serve", "swap") for flag in commands.choices[command]._option_string_actions}
    named = set(re.findall(r"(--[a-z][a-z-]+)", DOC))
    assert named
    assert named <= known, named - known


def test_every_option_is_named() -> None:
    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    assert commands.choices is not None
    known = {flag for flag in commands.choices["serve"]._option_string_actions if flag.startswith("--")}
    assert {flag for flag in known - {"--help"} if not re.search(rf"{flag}\b", DOC)} == set()


def test_every_metric_is_named(settings: Settings) -> None:
    async def work(client: httpx.AsyncClient, _: Service) -> str:
        await client.post("/v2/rerank", json={"query": QUERY, "documents": DOCUMENTS})
        return (await client.get("/metrics")).text

    text = inside(settings, work)
    names = {name for name, kind in re.findall(r"^# TYPE cascaderank_(\w+) (\w+)$", text, flags=re.MULTILINE)}
    table = set(re.findall(r"`(\w+)`", DOC.partition("| metric")[2]))
    assert {name for name in names if name not in table} == set()


def test_the_python_example_runs(server: Program) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOC, flags=re.DOTALL)
    code = code.replace("http://localhost:8100", server.url).replace('model="default"', 'model="tiny"')
    exec(code, {})


def test_every_test_that_is_promised_by_exists() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 10
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), (file, name)
