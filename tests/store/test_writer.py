"""Appending, replacing, deleting, compacting: what a commit changes, for whom, and what a failure leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cascaderank import Store, StoreError
from cascaderank.store import MANIFEST, Writer
from stores import content, documents_of, in_memory, part_of, schema


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    in_memory(documents_of(20)).save(tmp_path / "store")
    return tmp_path / "store"


def named_files(folder: Path) -> set[str]:
    return {item.name for item in folder.iterdir() if item.name[0].isdigit()}


def test_appended_documents_exist_with_the_commit(folder: Path) -> None:
    reader = Store.open(folder)
    with Writer(folder) as writer:
        writer.add(part_of(documents_of(5, start=20)))
        writer.add(part_of(documents_of(5, start=25)))
        assert writer.pending == 10
        assert content(Store.open(folder)) == content(reader)
        writer.commit()
        assert (writer.pending, len(writer.store)) == (0, 30)
    assert content(Store.open(folder)) == content(in_memory(documents_of(30)))
    assert content(reader) == content(in_memory(documents_of(20)))


def test_without_a_commit_nothing_happened(folder: Path) -> None:
    before, files = (folder / MANIFEST).read_bytes(), named_files(folder)
    with Writer(folder) as writer:
        writer.add(part_of(documents_of(5, start=20)))
        writer.delete(["d1"])
    assert ((folder / MANIFEST).read_bytes(), named_files(folder)) == (before, files)


def test_a_new_text_replaces_the_old_one(folder: Path) -> None:
    changed = {"d3": "other", "d19": "words", "new": "one"}
    with Writer(folder) as writer:
        writer.add(part_of(changed))
        writer.commit()
    found = Store.open(folder)
    assert len(found) == 21
    assert content(found) == content(in_memory({**documents_of(20), **changed}))


def test_deleted_documents_are_unknown(folder: Path) -> None:
    with Writer(folder) as writer:
        assert writer.delete(["d0", "d7", "nowhere", "d7"]) == 2
        assert writer.delete(["d7"]) == 0
        writer.commit()
        assert writer.delete(["d7", "d8"]) == 1
        writer.commit()
    found = Store.open(folder)
    kept = {name: text for name, text in documents_of(20).items() if name not in ("d0", "d7", "d8")}
    assert (len(found), content(found)) == (17, content(in_memory(kept)))
    assert found.find(["d7", "d8", "d9"]).tolist() == [-1, -1, 9]
    with Writer(folder) as writer:
        writer.add(part_of({"d7": "again"}))
        writer.commit()
    assert content(Store.open(folder)) == content(in_memory({**kept, "d7": "again"}))


def test_compaction_changes_nothing_but_the_files(folder: Path) -> None:
    with Writer(folder) as writer:
        for start in (20, 24):
            writer.add(part_of(documents_of(4, start=start)))
            writer.delete([f"d{start - 19}", f"d{start - 3}"])
            writer.commit()
        before = content(writer.store)
        reader, old = Store.open(folder), named_files(folder)
        writer.compact()
        assert len(writer.store.segments) == 1
        assert content(writer.store) == before
        files = named_files(folder)
        writer.compact()  # nothing left to do
        assert named_files(folder) == files
    assert content(Store.open(folder)) == before == content(reader)
    assert not old & files
    assert Store.open(folder).segments[0].deleted is None


def test_an_emptied_segment_goes(folder: Path) -> None:
    with Writer(folder) as writer:
        writer.delete(list(documents_of(20)))
        writer.commit()
    assert (len(Store.open(folder)), named_files(folder)) == (0, set())


def test_many_appends_leave_few_segments(folder: Path) -> None:
    most = 0
    with Writer(folder) as writer:
        for start in range(20, 52):
            writer.add(part_of(documents_of(1, start=start)))
            writer.commit()
            writer.compact_tail()
            most = max(most, len(writer.store.segments))
    assert most <= 4  # of 52 documents, each segment more than twice as large as all after it
    assert content(Store.open(folder)) == content(in_memory(documents_of(52)))


def test_one_writer_at_a_time(folder: Path) -> None:
    with Writer(folder) as writer:
        with pytest.raises(StoreError, match=r"another writer is at work \(process \d+\)"):
            Writer(folder)
        writer.add(part_of({"x": "y"}))
        writer.commit()
    with Writer(folder) as writer:
        assert len(writer.store) == 21


def test_a_killed_writer_leaves_no_lock_and_no_files(folder: Path) -> None:
    before, files = content(Store.open(folder)), named_files(folder)
    program = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from cascaderank.store import Writer; from stores import documents_of, part_of\n"
        "writer = Writer(sys.argv[1]); writer.add(part_of(documents_of(3, 50)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    here = str(Path(__file__).resolve().parents[1])
    done = subprocess.run([sys.executable, "-c", program, str(folder), here], timeout=60, check=False)
    assert done.returncode == -9
    assert named_files(folder) > files
    assert content(Store.open(folder)) == before
    with Writer(folder):
        assert named_files(folder) == files


def test_other_models_are_refused_with_the_command_that_rebuilds(tmp_path: Path) -> None:
    command = "cascaderank index docs.jsonl docs.store --replace"
    with Writer(tmp_path / "store", schema(), rebuild=command) as writer:
        writer.add(part_of({"a": "b"}))
        writer.commit()
    for other, said in (
        (
            schema(vectors={"bi2": 6}, models={"bi2": "the bi-encoder", "late": "the late one"}),
            "another version of model",
        ),
        (
            schema(vectors={"new": 6}, models={"new": "a stranger", "late": "the late one"}),
            "knows nothing of model 'a st",
        ),
        (schema(tokens={"few": "uint16"}), r"made by other models \(the bi-encoder, the late one\)"),
        (schema("int8"), "keeps vectors in fp32, not int8"),
    ):
        with pytest.raises(StoreError, match=f"{said}.*rebuild it: {command}"):
            Writer(tmp_path / "store", other)
    # A model that needs tokens only may be another one, if its tokenizer is the same.
    with Writer(tmp_path / "store", schema(models={"bi": "x", "late": "y", "ce": "z"})) as writer:
        assert len(writer.store) == 1


def test_an_id_added_twice_between_commits(folder: Path) -> None:
    before = content(Store.open(folder))
    with Writer(folder) as writer:
        writer.add(part_of({"x": "1"}))
        writer.add(part_of({"y": "2", "x": "3"}))
        with pytest.raises(StoreError, match="id 'x' was added twice"):
            writer.commit()
    assert content(Store.open(folder)) == before
    assert not [name for name in named_files(folder) if name.startswith("00000002")]


def test_there_must_be_a_store_or_a_schema(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store there; `cascaderank index CORPUS"):
        Writer(tmp_path / "nowhere")
    with Writer(tmp_path / "new", schema()) as writer:
        writer.compact()  # nothing yet
        writer.add(part_of({"x": "1"}))
        with pytest.raises(StoreError, match="commit before compacting"):
            writer.compact()


LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from cascaderank import StoreError
from cascaderank.store import Writer
from stores import documents_of, part_of
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    with Writer(sys.argv[1]) as writer:
        writer.add(part_of(documents_of(60, start=100)))
        writer.commit()
except StoreError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.parametrize("limit", [0, 100, 1000, 2500])
def test_a_full_disk_leaves_the_committed_state(folder: Path, limit: int) -> None:
    """A file that cannot grow, at four sizes: the lock, small columns, large ones, the manifest."""
    before, files = content(Store.open(folder)), named_files(folder)
    here = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder), here, str(limit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert "cannot write the store: File too large; what was committed before is as it was" in done.stdout
    assert content(Store.open(folder)) == before
    assert named_files(folder) == files
    with Writer(folder) as writer:
        writer.add(part_of({"x": "y"}))
        writer.commit()
    assert len(Store.open(folder)) == 21


@pytest.mark.parametrize("column", ["vectors0", "ids", "deleted2"])
def test_damaged_bytes_get_no_new_checksum(folder: Path, column: str) -> None:
    """Compaction and ``save`` copy what is mapped; what is not what was written is refused, not vouched for."""
    with Writer(folder) as writer:
        writer.add(part_of(documents_of(4, start=20)))
        writer.delete(["d3"])
        writer.commit()
    file = folder / f"00000001.{column}"
    data = bytearray(file.read_bytes())
    data[2] ^= 1
    file.write_bytes(data)
    files = named_files(folder)
    with Writer(folder) as writer, pytest.raises(StoreError, match=f"{file.name}.*the file is damaged"):
        writer.compact()
    with pytest.raises(StoreError, match=f"{file.name}.*the file is damaged"):
        Store.open(folder).save(folder.with_name("copy"))
    assert named_files(folder) == files
    with pytest.raises(StoreError, match=file.name):
        Store.open(folder).verify()


def test_the_command_that_rebuilds_goes_with_the_documents(folder: Path, tmp_path: Path) -> None:
    """A store that replaces another one was not made by the command that made the other one; a copy was."""
    with Writer(tmp_path / "made", schema(), rebuild="cascaderank index docs.jsonl made") as writer:
        writer.add(part_of({"a": "b"}))
        writer.commit()
    Store.open(tmp_path / "made").save(folder)
    assert "rebuild it: cascaderank index docs.jsonl made" in Store.open(folder).remedy
    in_memory({"c": "d"}).save(folder)
    assert Store.open(folder).remedy == "encode the documents again with this cascade"
    with Writer(tmp_path / "made") as writer:
        writer.delete(["a"])
        writer.commit()
    assert "rebuild it: cascaderank index docs.jsonl made" in Store.open(tmp_path / "made").remedy
