"""Passages by name, `collection:id`: graded lists name passages so that the texts stay in their collections.

`nq-qed:p12` is a document of a collection, `squad-sentences:s10..s16` consecutive documents read as one passage,
`stdlib:bisect.insort` a passage of the demo's corpus, which is the running interpreter's own documentation.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from texts.data import read_documents

STDLIB = "stdlib"
_RANGE = re.compile(r"(\D*)(\d+)\.\.\1(\d+)")
_READ = """
import json
from cascaderank.demo.corpus import read_corpus
print(json.dumps({document.id: document.text for document in read_corpus()}))
"""


@lru_cache(maxsize=1)
def read_stdlib() -> dict[str, str]:
    """Id to text, read in an interpreter of its own: importing torch changes what the standard library says."""
    found = subprocess.run([sys.executable, "-c", _READ], check=True, capture_output=True, text=True)
    documents: dict[str, str] = json.loads(found.stdout.splitlines()[-1])
    return documents


def passage(root: Path, name: str) -> str | None:
    """The text of one passage; None for a name that this interpreter's standard library lacks.

    Raises KeyError for a name that its collection lacks.
    """
    collection, _, identifier = name.partition(":")
    if collection == STDLIB:
        return read_stdlib().get(identifier)
    documents = read_documents(root / collection)
    if identifier in documents:
        return documents[identifier]
    if (span := _RANGE.fullmatch(identifier)) is None:
        raise KeyError(f"{collection} has no document {identifier!r}")
    prefix, first, last = span.groups()
    return " ".join(documents[f"{prefix}{number}"] for number in range(int(first), int(last) + 1))
