"""``--store`` of a labelled collection: a store must hold every candidate, with the text it has now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cascaderank.cli.main import main


@pytest.fixture
def indexed(cascade_file: Path, beir: Path, tmp_path: Path) -> Path:
    """All but the last document, the third of them with another text."""
    rows = [json.loads(line) for line in (beir / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    rows[2]["text"] += " three"
    corpus, store = tmp_path / "corpus.jsonl", tmp_path / "s.store"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]), encoding="utf-8")
    assert main(["index", str(corpus), str(store), "--cascade", str(cascade_file)]) == 0
    return store


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["evaluate"], "candidates"),
        (["bench"], "candidates"),
        (["evaluate", "--first-pass", "dense"], "documents"),
        (["evaluate", "--first-pass", "hybrid"], "documents"),
    ],
)
def test_a_store_that_does_not_fit_is_refused_before_the_first_query(
    command: list[str],
    what: str,
    cascade_file: Path,
    beir: Path,
    indexed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A dense first pass searches the store's vectors of the whole corpus, so all of its texts are compared."""
    arguments = [*command, cascade_file, "--data", beir, "--split", "test", "--store", indexed]
    assert main(list(map(str, arguments))) == 1
    error = capsys.readouterr().err
    assert f"{indexed}: lacks 1 of the 6 {what}, such as 'd6'; add them with `cascaderank index CORPUS" in error
    more = tmp_path / "more.jsonl"
    more.write_text((beir / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[-1] + "\n", encoding="utf-8")
    assert main(["index", str(more), str(indexed), "--append", "--cascade", str(cascade_file)]) == 0
    assert main(list(map(str, arguments))) == 1
    error = capsys.readouterr().err
    assert f"{indexed}: documents[" in error
    assert "(id 'd3'): its text is not the one the store was made from" in error
