"""Any number of readers while one process appends, deletes and compacts: each sees a whole committed state."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from cascaderank import Store
from cascaderank.store import Writer
from stores import content, documents_of, in_memory, part_of, schema

# Opens the store again and again; a state must be one that was committed: documents 0 to n in full, for some n that
# never shrinks.
READER = """
import sys
sys.path.insert(0, sys.argv[2])
from cascaderank import Store
from stores import content, documents_of, in_memory
folder, rounds, last, states = sys.argv[1], 0, 0, set()
print("ready", flush=True)
while last < 30:
    store = Store.open(folder)
    found = content(store)
    assert len(found) == len(store) >= last, (len(found), len(store), last)
    if len(store) not in states:
        assert found == content(in_memory(documents_of(len(store)), "int8"))
    last = len(store)
    states.add(last)
    rounds += 1
print(rounds, len(states))
"""


def test_readers_never_see_half_a_change(tmp_path: Path) -> None:
    folder, here = tmp_path / "store", str(Path(__file__).resolve().parents[1])
    with Writer(folder, schema("int8")) as writer:
        writer.commit()
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, str(folder), here], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    with Writer(folder) as writer:
        for start in range(0, 30, 2):
            writer.add(part_of(documents_of(2, start)))
            writer.commit()
            if start % 3 == 0:
                writer.compact()
    for reader in readers:
        out, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0
        rounds, states = map(int, out.split())
        assert rounds >= states > 1


def test_a_snapshot_stays_while_a_writer_compacts(tmp_path: Path) -> None:
    in_memory(documents_of(40)).save(tmp_path / "store")
    snapshot = Store.open(tmp_path / "store")
    expected = content(snapshot)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(10):
                assert content(snapshot) == expected
        except BaseException as error:  # noqa: BLE001  a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    with Writer(tmp_path / "store") as writer:
        for start in range(40, 48, 2):
            writer.add(part_of(documents_of(2, start)))
            writer.delete([f"d{start - 40}"])
            writer.commit()
            writer.compact()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(Store.open(tmp_path / "store")) == 44
