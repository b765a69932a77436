"""Models put in place under load: switched to between two requests, refused where they are no good, rolled back."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import onnx
import pytest

from cascaderank import Cascade
from cascaderank.golden import raw_logits, template_hash
from cascaderank.manifest import GoldenPair
from cascaderank.serve import Service, Settings
from serving import DOCUMENTS, QUERY, inside
from tiny import make_cross_encoder, write_manifest

BODY = {"query": QUERY, "documents": DOCUMENTS}


def make(folder: Path, bias: float) -> Path:
    """A model that scores ``bias`` more, so that an answer tells which one gave it, with golden scores."""
    make_cross_encoder(folder, graph={"bias": bias}, name="ce")
    with Cascade([_stage(folder)]) as cascade:
        (scorer,) = cascade._flow.scorers
        texts = [("red", "red cat"), ("dog", "fish")]
        logits = raw_logits(scorer, texts)
        pairs = [GoldenPair(query, text, 1, float(logit)) for (query, text), logit in zip(texts, logits, strict=True)]
        template = template_hash(scorer.part.spec, scorer.part.tokenizer, pairs)
    lines = [f'[golden]\ntolerance = 0.001\ntemplate = "{template}"']
    lines += [
        f'[[golden.pairs]]\nquery = "{pair.query}"\ndocument = "{pair.document}"\nlogit = {pair.logit}'
        for pair in pairs
    ]
    with (folder / "model.toml").open("a", encoding="utf-8") as manifest:
        manifest.write("\n".join(lines) + "\n")
    return folder


def _stage(folder: Path) -> Any:
    from cascaderank import Stage

    return Stage(folder, keep=6)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A cascade file over the folder ``model``, which is version 0; ``v0`` and ``v100`` lie beside it."""
    for bias in (0, 100):
        make(tmp_path / f"v{bias}", bias)
    shutil.copytree(tmp_path / "v0", tmp_path / "model")
    (tmp_path / "cascade.toml").write_text('[[stage]]\nmodel = "model"\nkeep = 6\n', encoding="utf-8")
    return tmp_path


def put(place: Path, version: str) -> None:
    """Another folder in place of ``model``, as a deployment does it: copied beside, then renamed."""
    shutil.copytree(place / version, place / "new")
    shutil.rmtree(place / "model")
    (place / "new").rename(place / "model")


async def best(client: httpx.AsyncClient) -> float:
    response = await client.post("/v2/rerank", json=BODY)
    assert response.status_code == 200, response.text
    return float(response.json()["results"][0]["relevance_score"])


def settings_of(place: Path, **changes: Any) -> Settings:
    """Without a trial, which starts a Python for every swap; the tests that are about it ask for one."""
    return replace(Settings(cascades={"one": place / "cascade.toml"}, watch_s=0.0, trial=False), **changes)


def test_swaps_under_load_fail_no_request_and_mix_no_models(place: Path) -> None:
    """Every answer is whole of one model: all its scores have that model's bias, and its generation is its own."""

    async def work(client: httpx.AsyncClient, service: Service) -> tuple[int, set[tuple[bool, str]]]:
        stop, count = asyncio.Event(), 0
        seen: set[tuple[bool, str]] = set()

        async def ask() -> None:
            nonlocal count
            while not stop.is_set():
                response = await client.post("/v2/rerank", json=BODY)
                assert response.status_code == 200, response.text
                high = {hit["relevance_score"] > 50 for hit in response.json()["results"]}
                assert len(high) == 1
                number = int(response.headers["x-cascade-generation"])
                assert high == {number % 2 == 0}
                seen.add((high.pop(), response.headers["x-cascade-generation"]))
                count += 1

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        deployment = service.deployments["one"]
        for turn in range(4):
            put(place, ("v100", "v0")[turn % 2])
            await deployment.reload()
            assert await best(client) == (102.0, 2.0)[turn % 2]  # the next request is the new model's
        stop.set()
        await asyncio.gather(*asking)
        return count, seen

    count, seen = inside(settings_of(place, max_queue=100, trial=True), work)
    assert count > 20
    assert {high for high, _ in seen} == {True, False}


def damaged_graph(model: Path) -> None:
    (model / "model.onnx").write_bytes((model / "model.onnx").read_bytes()[:-10])


def missing_file(model: Path) -> None:
    (model / "tokenizer.json").unlink()


def missing_folder(model: Path) -> None:
    shutil.rmtree(model)


def no_manifest(model: Path) -> None:
    (model / "model.toml").write_text("format = ", encoding="utf-8")


def missed_golden(model: Path) -> None:
    text = (model / "model.toml").read_text(encoding="utf-8")
    (model / "model.toml").write_text(text.replace("logit = 1.0", "logit = 1.5"), encoding="utf-8")


def gives_nan(model: Path) -> None:
    """A model of the right hashes whose smoke pair is not finite ([UNK] is every word of it)."""
    make_cross_encoder(model, graph={"nan_word": "[UNK]"}, name="ce")


def no_graph(model: Path) -> None:
    (model / "model.onnx").write_bytes(b"no graph")
    write_manifest(model, "cross_encoder", name="ce")


BAD = [damaged_graph, missing_file, missing_folder, no_manifest, missed_golden, gives_nan, no_graph]


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_model_never_replaces_a_good_one(place: Path, spoil: Callable[[Path], None]) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> None:
        key = {"authorization": "Bearer admin"}
        spoil(place / "model")
        refused = await client.post("/admin/reload", headers=key)
        assert refused.status_code == 409
        assert "cascade 'one': not put in place: " in refused.json()["message"]
        assert "/cascaderank-" not in refused.json()["message"]  # the operator's folder, not the private copy's
        assert await best(client) == 2.0
        (known,) = (await client.get("/v1/models")).json()["data"]
        assert known["generation"] == 1
        assert known["refused"]
        assert 'outcome="refused"} 1.0' in (await client.get("/metrics")).text
        shutil.rmtree(place / "model", ignore_errors=True)
        shutil.copytree(place / "v100", place / "model")
        assert (await client.post("/admin/reload", headers=key)).json()["generation"] == 2
        assert await best(client) == 102.0

    tried = spoil in (missed_golden, gives_nan)  # the same checks in a process of their own, and the same words
    inside(settings_of(place, admin_keys=("admin",), trial=tried), work)


def trial_process(service: Service) -> subprocess.Popen[bytes] | None:
    trial = service.deployments["one"]._trial
    assert trial is not None
    return trial._process


def test_a_model_that_ends_its_process_does_not_end_the_server(place: Path) -> None:
    """The trial is killed as the system kills for want of memory; it yields to the server as long as it lives."""

    async def work(client: httpx.AsyncClient, service: Service) -> None:
        put(place, "v100")
        reloading = asyncio.create_task(client.post("/admin/reload", headers={"x-api-key": "admin"}))
        await until(lambda: trial_process(service) is not None)
        process = trial_process(service)
        assert process is not None
        await until(lambda: os.getpriority(os.PRIO_PROCESS, process.pid) > os.getpriority(os.PRIO_PROCESS, 0))
        assert await best(client) == 2.0
        process.kill()
        refused = await reloading
        assert refused.status_code == 409
        assert "was ended by SIGKILL" in refused.json()["message"]
        assert await best(client) == 2.0

    inside(settings_of(place, admin_keys=("admin",), trial=True), work)


def somebody_reads(pipe: Path, held: list[int]) -> bool:
    """Whether somebody waits for what comes out of a named pipe; from then on it is ``held`` open, and he waits."""
    try:
        held.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # no reader yet
        return False
    return True


def test_a_disk_that_does_not_answer_is_waited_for_by_nobody_but_the_swap(place: Path) -> None:
    """A named pipe in place of the cascade file: whoever reads it waits until its writer has closed it."""
    pipe, held = place / "pipe", list[int]()

    async def work(client: httpx.AsyncClient, service: Service) -> None:
        os.mkfifo(pipe)
        os.link(pipe, place / "cascade.new")
        os.replace(place / "cascade.new", place / "cascade.toml")
        await until(lambda: somebody_reads(pipe, held))
        try:
            for _ in range(10):
                assert await best(client) == 2.0
            assert (await client.get("/ready")).status_code == 200
            (place / "cascade.new").write_text('[[stage]]\nmodel = "v100"\nkeep = 6\n', encoding="utf-8")
            os.replace(place / "cascade.new", place / "cascade.toml")
        finally:
            os.close(held[0])
        deployment = service.deployments["one"]
        await until(lambda: deployment.live.current is not None and deployment.live.current.number == 2)
        assert await best(client) == 102.0

    inside(settings_of(place, watch_s=0.02), work)


def test_a_server_that_stops_ends_its_trial(place: Path) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> subprocess.Popen[bytes]:
        put(place, "v100")
        await until(lambda: trial_process(service) is not None)
        process = trial_process(service)
        assert process is not None
        return process

    process = inside(settings_of(place, watch_s=0.02, trial=True), work)
    assert process.poll() == -signal.SIGKILL


@pytest.mark.parametrize("wrong", ["", "[[stage]]\nmodel = ", '[[stage]]\nmodel = "nowhere"\nkeep = 1\n', "x = 1\n"])
def test_a_bad_cascade_file_never_replaces_a_good_one(place: Path, wrong: str) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> None:
        (place / "cascade.toml").write_text(wrong, encoding="utf-8")
        assert (await client.post("/admin/reload", headers={"x-api-key": "admin"})).status_code == 409
        assert await best(client) == 2.0

    inside(settings_of(place, admin_keys=("admin",)), work)


def test_rollback_is_immediate_and_needs_no_files(place: Path) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> None:
        key = {"authorization": "Bearer admin"}
        assert (await client.post("/admin/rollback", headers=key)).status_code == 409  # nothing was replaced yet
        put(place, "v100")
        await client.post("/admin/reload", headers=key)
        shutil.rmtree(place / "model")
        back = await client.post("/admin/rollback", headers=key, json={"cascade": "one"})
        assert back.json()["generation"] == 1
        assert await best(client) == 2.0
        assert (await client.post("/admin/rollback", headers=key)).json()["generation"] == 2
        assert await best(client) == 102.0

    inside(settings_of(place, admin_keys=("admin",)), work)


def test_a_swap_of_what_serves_keeps_what_to_roll_back_to(place: Path) -> None:
    """Good, then one that ranks badly, then its swap once more by hand: rolling back gives the good one. A refusal is
    forgotten when the files are those that serve again."""

    async def work(client: httpx.AsyncClient, service: Service) -> None:
        key = {"x-api-key": "admin"}
        deployment = service.deployments["one"]
        put(place, "v100")
        for _ in range(3):
            assert (await client.post("/admin/reload", headers=key)).json()["generation"] == 2
        (place / "model").rename(place / "aside")
        assert (await client.post("/admin/reload", headers=key)).status_code == 409
        assert deployment.refused
        (place / "aside").rename(place / "model")
        assert (await client.post("/admin/reload", headers=key)).json()["generation"] == 2
        assert not deployment.refused
        assert (await client.post("/admin/rollback", headers=key)).json()["generation"] == 1
        assert await best(client) == 2.0
        # The files are not what serves now: they are taken if somebody asks for it.
        assert (await client.post("/admin/reload", headers=key)).json()["generation"] == 3
        assert await best(client) == 102.0

    inside(settings_of(place, admin_keys=("admin",)), work)


def test_a_swap_that_waited_for_the_watchers_changes_nothing_more(place: Path) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> None:
        deployment = service.deployments["one"]
        put(place, "v100")
        found = await asyncio.gather(deployment.reload(), deployment.reload())
        assert [generation.number for generation in found] == [2, 2]
        assert (await deployment.rollback()).number == 1

    inside(settings_of(place), work)


def test_admin_asks_for_its_own_keys(place: Path) -> None:
    async def work(client: httpx.AsyncClient, _: Service) -> list[int]:
        keys = ("", "user", "admin")
        return [(await client.post("/admin/reload", headers={"x-api-key": key})).status_code for key in keys]

    assert inside(settings_of(place, api_keys=("user",), admin_keys=("admin",)), work) == [401, 401, 200]
    assert inside(settings_of(place), work) == [403, 403, 403]


def test_what_is_replaced_is_closed_after_its_last_request(place: Path) -> None:
    async def work(client: httpx.AsyncClient, service: Service) -> None:
        deployment = service.deployments["one"]
        old = deployment.live.current
        assert old is not None
        with deployment.live.lend() as lent:
            put(place, "v100")
            await deployment.reload()
            await asyncio.sleep(0.05)
            assert lent is old
            assert len(await lent.cascade.arank(QUERY, DOCUMENTS)) == 6  # still open for who holds it
        await asyncio.sleep(0.2)
        assert old.cascade._closed
        assert deployment.previous is None

    inside(settings_of(place, keep_previous=False), work)


async def until(reached: Callable[[], bool]) -> None:
    for _ in range(500):
        if reached():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not reached within 5 s")


def test_the_watcher_takes_what_is_put_in_place(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder that is replaced, then a damaged one, which is tried once, not every second, then a good file."""
    caplog.set_level(logging.INFO, "cascaderank.serve")

    async def work(client: httpx.AsyncClient, service: Service) -> None:
        deployment = service.deployments["one"]

        def generation() -> int:
            assert deployment.live.current is not None
            return deployment.live.current.number

        put(place, "v100")
        await until(lambda: generation() == 2)
        assert await best(client) == 102.0
        damaged_graph(place / "model")
        await until(lambda: bool(deployment.refused))
        await asyncio.sleep(0.15)
        assert sum(record.getMessage() == "refused" for record in caplog.records) == 1
        assert await best(client) == 102.0
        (place / "cascade.new").write_text('[[stage]]\nmodel = "v0"\nkeep = 6\n', encoding="utf-8")
        os.replace(place / "cascade.new", place / "cascade.toml")
        await until(lambda: generation() == 3)
        assert await best(client) == 2.0

    inside(settings_of(place, watch_s=0.02), work)


def test_a_disk_that_does_not_answer_holds_up_no_other_cascade(place: Path) -> None:
    """The first cascade's file is a named pipe, whose reader waits; the second one's is changed and taken meanwhile."""
    (place / "other.toml").write_text('[[stage]]\nmodel = "v0"\nkeep = 6\n', encoding="utf-8")

    async def work(client: httpx.AsyncClient, service: Service) -> None:
        os.mkfifo(place / "pipe")
        os.link(place / "pipe", place / "cascade.new")
        os.replace(place / "cascade.new", place / "cascade.toml")
        held = list[int]()
        await until(lambda: somebody_reads(place / "pipe", held))
        try:
            (place / "other.new").write_text('[[stage]]\nmodel = "v100"\nkeep = 6\n', encoding="utf-8")
            os.replace(place / "other.new", place / "other.toml")
            second = service.deployments["two"]
            await until(lambda: second.live.current is not None and second.live.current.number == 2)
        finally:
            os.close(held[0])

    cascades: dict[str, Path | None] = {"one": place / "cascade.toml", "two": place / "other.toml"}
    inside(settings_of(place, cascades=cascades, watch_s=0.02), work)


EXTERNAL = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from cascaderank.serve import Settings
from serving import inside
from test_swap import best
place = Path(sys.argv[1])
async def work(client, service):
    before = await best(client)
    for file in (place / "model").iterdir():
        with file.open("r+b") as stream:
            stream.truncate(0)
    assert await best(client) == before
    (place / "model" / "weights.bin").unlink()
    assert await best(client) == before
    print("alive")
inside(Settings(cascades={"one": place / "cascade.toml"}, watch_s=0.0), work)
"""


def test_files_that_are_cut_or_vanish_while_they_serve_harm_nobody(place: Path) -> None:
    """Weights in an external file are mapped by ONNX Runtime; cut in place, they would end the process (SIGBUS) if the
    served ones were the operator's own. In a process of its own, since that is what would end."""
    model = onnx.load(place / "v0" / "model.onnx")
    model.graph.initializer.append(onnx.numpy_helper.from_array(_large(), "large"))
    model.graph.node.extend(
        [
            onnx.helper.make_node("Gather", ["large", "input_ids"], ["looked_up"]),
            onnx.helper.make_node("ReduceSum", ["looked_up"], ["summed"], keepdims=0),
            onnx.helper.make_node("Mul", ["summed", "zero"], ["none"]),
            onnx.helper.make_node("Add", ["logits", "none"], ["with_large"]),
        ]
    )
    model.graph.output[0].name = "with_large"
    shutil.rmtree(place / "model")
    (place / "model").mkdir()
    onnx.save(model, place / "model" / "model.onnx", save_as_external_data=True, location="weights.bin")
    shutil.copy(place / "v0" / "tokenizer.json", place / "model")
    write_manifest(place / "model", "cross_encoder", name="ce", output__name="with_large")
    assert (place / "model" / "weights.bin").stat().st_size > 1 << 20
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-c", EXTERNAL, str(place), str(here.parent), str(here)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "alive"), done.stderr


def _large() -> Any:
    import numpy as np

    return np.ones((1000, 512), np.float32)
