"""``cascaderank index``: a store from JSON lines, appended to, resumed, deleted from, checked, ranked with."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cascaderank import Cascade, Document, Stage, Store, StoreError
from cascaderank.cli.main import main
from cascaderank.errors import InputError
from cascaderank.indexing import index_documents
from cascaderank.store import Writer
from ranking import as_documents, random_texts, summary
from tiny import make_encoder

ROWS = [
    {"_id": "a", "title": "red", "text": "cat", "metadata": {}},
    {"_id": "b", "title": "", "text": "dog"},
    {"id": 7, "text": "green fish"},
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    file = tmp_path / "docs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def index(cascade_file: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str | Path, code: int = 0, cascade: Path | None = cascade_file) -> str:
        more = [] if cascade is None else ["--cascade", str(cascade)]
        assert main(["index", *map(str, arguments), *more]) == code
        out, err = capsys.readouterr()
        return out if code == 0 else err

    return run


def test_a_store_of_json_lines(index: Callable[..., str], corpus: Path, tmp_path: Path, cascade_file: Path) -> None:
    assert index(corpus, tmp_path / "store") == f"{tmp_path / 'store'}: 3 documents; 3 encoded\n"
    store = Store.open(tmp_path / "store")
    assert store.ids == ("a", "b", "7")
    documents = [Document("a", "red cat"), Document("b", "dog"), Document("7", "green fish")]
    with Cascade.load(cascade_file) as cascade:
        by_id = cascade.rank("red", ids=["7", "a", "b"], store=store)
        assert summary(by_id) == summary(cascade.rank("red", [documents[2], *documents[:2]]))
        assert [stage.tokenize_ms for stage in by_id.trace.stages[1:]] == pytest.approx([0.0], abs=5)
        assert "encoded" not in "".join(stage.note for stage in by_id.trace.stages)


def test_only_the_query_is_tokenised(models: Path, tmp_path: Path) -> None:
    """The tokenizer's calls are counted, its work is its own."""
    texts = as_documents(random_texts(40))
    stages = [Stage(models / "bi", keep=30), Stage(models / "late", keep=20), Stage(models / "ce", keep=10)]
    with Cascade(stages) as cascade:
        index_documents(cascade, texts, tmp_path / "store", vectors="fp16")
        store = Store.open(tmp_path / "store")
        (tokenizer,) = {scorer.part.tokenizer for scorer in cascade._flow.scorers}
        counting = Counting(tokenizer)
        for scorer in cascade._flow.scorers:
            scorer.part.tokenizer = counting
        ranking = cascade.rank("red cat", ids=[document.id for document in texts], store=store)
        assert (counting.queries, counting.documents) == (1, 0)
        cascade.rank("red cat", texts)
        assert counting.documents == 40
    assert len(ranking) == 40


class Counting:
    def __init__(self, inner: object) -> None:
        self.inner = inner
        self.queries = self.documents = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def encode(self, text: str) -> object:
        self.queries += 1
        return self.inner.encode(text)  # type: ignore[attr-defined]

    def encode_many(self, texts: list[str]) -> object:
        self.documents += len(texts)
        return self.inner.encode_many(texts)  # type: ignore[attr-defined]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_gzip_and_precisions(index: Callable[..., str], corpus: Path, tmp_path: Path, precision: str) -> None:
    packed = tmp_path / "corpus.jsonl.gz"
    packed.write_bytes(gzip.compress(corpus.read_bytes()))
    index(packed, tmp_path / "store", "--vectors", precision)
    assert Store.open(tmp_path / "store").schema.precision == precision
    assert len(Store.open(tmp_path / "store")) == 3
    packed.write_bytes(packed.read_bytes()[:-9])
    assert "not a complete gzip file" in index(packed, tmp_path / "store", "--replace", code=1)
    assert len(Store.open(tmp_path / "store")) == 3


def test_documents_that_are_cut_are_said(
    index: Callable[..., str], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with corpus.open("a") as stream:
        stream.write(json.dumps({"id": "long", "text": "red " * 100}) + "\n")
    line = "bi reads the first 30 tokens of a document: 1 document cut, 70 tokens not in the vectors"
    assert f"  {line}\n" in index(corpus, tmp_path / "store")
    assert main(["check", str(tmp_path / "store")]) == 0
    assert f"  {line}\n" in capsys.readouterr().out


def test_append_leaves_out_what_is_there(index: Callable[..., str], corpus: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert "no store to append to" in index(corpus, store, "--append", code=1)
    index(corpus, store, "--vectors", "int8")
    more = tmp_path / "more.jsonl"
    more.write_text(corpus.read_text() + '{"id": "b", "text": "dog"}\n{"id": "new", "text": "blue"}\n')
    assert index(more, store, "--append") == f"{store}: 4 documents; 1 encoded, 4 were stored already\n"
    more.write_text('{"id": "b", "text": "another dog"}\n')
    assert index(more, store, "--append") == f"{store}: 4 documents; 1 encoded\n"
    assert sorted(Store.open(store).ids) == ["7", "a", "b", "new"]
    assert "a store is there already; --append adds to it" in index(corpus, store, code=1)
    assert index(corpus, store, "--replace") == f"{store}: 3 documents; 3 encoded\n"
    assert Store.open(store).schema.precision == "fp32"


def test_an_interrupted_run_goes_on(models: Path, tmp_path: Path) -> None:
    documents = as_documents(random_texts(2000))

    def until(stop: int):  # type: ignore[no-untyped-def]
        yield from documents[:stop]
        raise KeyboardInterrupt

    with Cascade([Stage(models / "bi", keep=3)]) as cascade:
        with pytest.raises(KeyboardInterrupt):
            index_documents(cascade, until(1600), tmp_path / "store", commit_every=600)
        assert len(Store.open(tmp_path / "store")) == 1024  # two parts of 512 reach the first 600
        report = index_documents(cascade, documents, tmp_path / "store", append=True, commit_every=600)
        assert (report.added, report.unchanged, report.documents) == (976, 1024, 2000)
        whole = cascade.encode(documents)
        store = Store.open(tmp_path / "store")
        ids = [document.id for document in documents]
        digest = cascade.models[0].digest
        assert store.vectors(digest, store.find(ids)).tolist() == whole.vectors(digest, whole.find(ids)).tolist()


@pytest.mark.parametrize("far", [3, 1500])
def test_one_id_with_two_texts_in_a_run(models: Path, tmp_path: Path, far: int) -> None:
    """Near: in the segment under way; far: in one that is committed already."""
    documents = as_documents(random_texts(far))
    with Cascade([Stage(models / "bi", keep=3)]) as cascade:
        again = [*documents, documents[0]]
        assert index_documents(cascade, again, tmp_path / "store", commit_every=512).unchanged == 1
        twice = [*documents, Document("d0", "another text")]
        with pytest.raises(InputError, match="document 'd0' comes twice with different texts"):
            index_documents(cascade, twice, tmp_path / "other", commit_every=512)


def test_delete_and_compact(index: Callable[..., str], corpus: Path, tmp_path: Path) -> None:
    store, ids = tmp_path / "store", tmp_path / "ids.txt"
    index(corpus, store)
    ids.write_text('b\n\nnowhere\n{"_id": 7}\n')
    assert index(store, "--delete", ids, cascade=None) == f"{store}: 2 of 3 ids deleted; 1 document\n"
    assert index(store, "--compact", cascade=None) == f"{store}: 1 segment before, 1 now; 1 document\n"
    assert Store.open(store).ids == ("a",)
    assert Store.open(store).segments[0].deleted is None


def test_check_a_store(
    index: Callable[..., str], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    index(corpus, store, "--vectors", "fp16")
    assert main(["check", str(store)]) == 0
    out = capsys.readouterr().out
    assert "3 documents in 1 segment," in out
    assert "no document was longer than its encoders' windows" in out
    file = store / "00000001.vectors0"
    file.write_bytes(b"\x01" + file.read_bytes()[1:])
    assert main(["check", str(store)]) == 1
    out, err = capsys.readouterr()
    assert "FAILED" in out
    assert "00000001.vectors0" in err


def test_a_swapped_model_is_refused_with_the_command(
    index: Callable[..., str], corpus: Path, models: Path, tmp_path: Path
) -> None:
    make_encoder(tmp_path / "bi", output__pooling="cls")
    file = tmp_path / "cascade.toml"
    file.write_text('[[stage]]\nmodel = "bi"\nkeep = 4\n')
    other = tmp_path / "before.toml"
    other.write_text(f'[[stage]]\nmodel = "{models / "bi"}"\nkeep = 4\n')
    store = tmp_path / "a store"
    index(corpus, store, "--vectors", "int8", cascade=other)
    command = f"cascaderank index {corpus} '{store}' --replace --cascade {other} --vectors int8"
    assert f"another version of model 'bi'; rebuild it: {command}" in index(
        corpus, store, "--append", code=1, cascade=file
    )
    with Cascade.load(file) as cascade, pytest.raises(StoreError, match="no vectors of model 'bi'") as caught:
        cascade.rank("red", ids=["a"], store=Store.open(store))
    assert f"rebuild it: {command}" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id": "a"}', 'docs.jsonl:2: no "text"'),
        ('{"text": "a"}', "docs.jsonl:2: id is None"),
        ('{"id": true, "text": "a"}', "docs.jsonl:2: id is True"),
        ('{"id": "a", "text": 3}', "docs.jsonl:2: text: expected a string"),
        ('{"id": "a", "text": "b", "title": 3}', "docs.jsonl:2: title: expected a string"),
        ("[1]", "docs.jsonl:2: expected an object, got list"),
        ("{", "docs.jsonl:2: not JSON"),
    ],
)
def test_a_line_that_is_wrong(index: Callable[..., str], tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "docs.jsonl"
    file.write_text(f'{{"id": "x", "text": "y"}}\n{line}\n')
    assert said in index(file, tmp_path / "store", code=1)


def test_text_that_is_not_utf8(index: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "docs.jsonl"
    file.write_bytes(b'{"id": "x", "text": "\xff"}\n')
    assert "docs.jsonl:1: not UTF-8 text" in index(file, tmp_path / "store", code=1)


def test_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments, said in (
        (["x"], "no CORPUS"),
        (["a", "x", "--compact"], "take the store alone"),
        (["x", "--delete", "ids", "--vectors", "int8"], "take the store alone"),
    ):
        with pytest.raises(SystemExit) as left:
            main(["index", *arguments])
        assert left.value.code == 2
        assert said in capsys.readouterr().err


def test_another_writer(index: Callable[..., str], corpus: Path, tmp_path: Path) -> None:
    index(corpus, tmp_path / "store")
    with Writer(tmp_path / "store"):
        assert "another writer is at work" in index(corpus, tmp_path / "store", "--append", code=1)
