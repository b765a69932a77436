"""Killed and started again: it serves, and nothing is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from cascaderank.serve.private import private_folder, sweep
from serving import DOCUMENTS, QUERY, program

BODY = {"query": QUERY, "documents": DOCUMENTS}
HOLD = """
import sys
from cascaderank.serve.private import private_folder
with private_folder() as folder:
    (folder / "copy").write_text("a model")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_killed_while_serving_and_while_loading_it_serves_again(models: Path, tmp_path: Path) -> None:
    """Loading is made long by a file of 4 GB beside the model, of which a part is copied when the kill comes."""
    shutil.copytree(models / "ce", tmp_path / "model")
    path = tmp_path / "one.toml"
    path.write_text('[[stage]]\nmodel = "model"\nkeep = 6\n', encoding="utf-8")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"TMPDIR": str(temporary)}

    with program(path, environment=environment) as server:
        assert httpx.post(f"{server.url}/v2/rerank", json=BODY).status_code == 200
        server.process.kill()
        server.process.wait()
    assert not list(temporary.glob("cascaderank-*"))

    with (tmp_path / "model" / "large.bin").open("wb") as large:
        large.truncate(4 << 30)
    with program(path, environment=environment, until="listening") as server:
        deadline = time.monotonic() + 30
        while not list(temporary.rglob("large.bin")) and time.monotonic() < deadline:
            time.sleep(0.001)
        server.process.kill()
        server.process.wait()
    assert list(temporary.rglob("large.bin"))

    (tmp_path / "model" / "large.bin").unlink()
    with program(path, environment=environment) as server:
        assert server.lines[0]["message"] == "swept"
        assert httpx.post(f"{server.url}/v2/rerank", json=BODY).status_code == 200
        assert not list(temporary.glob("cascaderank-*"))


def test_what_is_in_use_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process's folder stays until that process is gone, whatever the number in the name; so do links and what
    has another name."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "cascaderank-other").mkdir()
    (tmp_path / "cascaderank-serve-1-link").symlink_to(tmp_path / "cascaderank-other")
    others = {tmp_path / "cascaderank-other", tmp_path / "cascaderank-serve-1-link"}
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        with private_folder() as own:
            assert sweep() == []
            assert set(tmp_path.glob("cascaderank-*")) == {folder, own} | others
        process.kill()
        process.wait()
        assert set(tmp_path.glob("cascaderank-*")) == {folder} | others
        assert sweep() == [folder]
    assert set(tmp_path.glob("cascaderank-*")) == others
