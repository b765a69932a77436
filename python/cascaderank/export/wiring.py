"""Who writes and who reads each tensor of a graph."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any


class Wiring:
    """The edges of a list of ONNX nodes (those inside subgraphs take no part)."""

    def __init__(self, nodes: Iterable[Any]) -> None:
        self._nodes = list(nodes)
        self._writers = {name: node for node in self._nodes for name in node.output if name}
        self._readers: dict[str, list[Any]] = {}
        for node in self._nodes:
            for name in dict.fromkeys(node.input):
                self._readers.setdefault(name, []).append(node)

    def writer(self, tensor: str) -> Any | None:
        """The node that writes a tensor; None for inputs and initializers."""
        return self._writers.get(tensor)

    def readers(self, tensor: str) -> list[Any]:
        """The nodes that read a tensor."""
        return self._readers.get(tensor, [])

    def before(self, names: Collection[str]) -> set[str]:
        """Names of all nodes that a path leads from to one of the named nodes; those themselves only if one does."""
        found: set[str] = set()
        pending = [node for node in self._nodes if node.name in names]
        while pending:
            for tensor in pending.pop().input:
                writer = self._writers.get(tensor)
                if writer is not None and writer.name not in found:
                    found.add(writer.name)
                    pending.append(writer)
        return found
