"""What is said of a store's documents that were too long for the models that encoded them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cascaderank.cli.terminal import counted

if TYPE_CHECKING:
    from cascaderank.store import Schema, Truncation


def cut_documents(schema: Schema, truncated: Mapping[str, Truncation]) -> list[str]:
    """A line for each encoder that did not read all of some documents."""
    lines: list[str] = []
    for windows in schema.windows.values():
        for digest, window in windows.items():
            found = truncated.get(digest)
            if found is not None and found.documents:
                lines.append(
                    f"{schema.models[digest]} reads the first {counted(window, 'token')} of a document: "
                    f"{counted(found.documents, 'document')} cut, {counted(found.tokens, 'token')} not in the vectors"
                )
    return lines


def cut_or_whole(schema: Schema, truncated: Mapping[str, Truncation]) -> list[str]:
    """The same of a whole store, said also where nothing was cut."""
    if lines := cut_documents(schema, truncated):
        return lines
    if not schema.vectors and not schema.token_vectors:
        return []
    if not schema.windows:
        return ["note: made before encoders' windows were kept; made anew, it says how many documents they cut"]
    return ["no document was longer than its encoders' windows"]
