"""What a graph is fed for typical texts: inputs that show which channels are large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.evaluate.data import load_beir
from cascaderank.export.engine import Engine
from cascaderank.export.pairs import Pair, parity_pairs
from cascaderank.session import Runner, Session

Int64 = NDArray[np.int64]

PAIRS = 64
TRAIN = "train"


def calibration_inputs(folder: Path, data: Path | None = None, split: str = "dev") -> list[dict[str, NDArray[Any]]]:
    """Inputs of the graph in the model folder ``folder`` by name, as the engine packs them: int64 ``[1, length]`` each,
    and float32 keys and values of what comes before a decoder's rows.

    The texts are training pairs of ``data`` (a folder in the layout of BEIR) where it has a split "train" that is not
    ``split``, on which the result will be measured; otherwise those of the parity gate.
    """
    with Engine(folder, workers=1) as engine:
        pairs = _training_pairs(engine, data, split)
        if not pairs:
            pairs = list(parity_pairs(engine.count_tokens, engine.query_limit(), engine.spec.max_length))
        part = engine.part
        part.session = recorder = _Recorder(part.session)
        engine.logits(pairs)
    return list(recorder.seen.values())


def _training_pairs(engine: Engine, data: Path | None, split: str) -> list[Pair]:
    """The first queries of the training split that fit, each with its best document."""
    if data is None or split == TRAIN or not (Path(data) / "qrels" / f"{TRAIN}.tsv").is_file():
        return []
    collection = load_beir(data, TRAIN)
    pairs: list[Pair] = []
    for name, query in collection.queries.items():
        if len(pairs) == PAIRS:
            break
        if engine.count_tokens(query) <= engine.query_limit():
            grades = collection.qrels[name]
            pairs.append((query, collection.corpus[max(grades, key=lambda document: grades[document])]))
    return pairs


class _Recorder(Session):
    """A session that keeps what it is fed, every distinct input once."""

    def __init__(self, session: Session) -> None:
        vars(self).update(vars(session))
        self.seen: dict[bytes, dict[str, NDArray[Any]]] = {}

    @contextmanager
    def lease(self) -> Iterator[Runner]:
        with super().lease() as runner:
            yield _RecordingRunner(runner, self.spec.input.names, self._past, self.seen)


class _RecordingRunner:
    """``empty`` is what a decoder's graph takes for keys and values where nothing comes before a row."""

    def __init__(
        self, runner: Runner, names: Mapping[str, str], empty: NDArray[np.float32] | None,
        seen: dict[bytes, dict[str, NDArray[Any]]],
    ) -> None:  # fmt: skip
        self._runner = runner
        self._names = {role: name for role, name in names.items() if role != "past"}
        self._past = names.get("past", "")
        self._empty = empty
        self._seen = seen

    def prefix(self, tensors: Mapping[str, Int64], options: Any) -> Any:
        self._record(tensors, None)
        return self._runner.prefix(tensors, options)

    def run(self, tensors: Mapping[str, Int64], options: Any, past: Any = None) -> NDArray[np.float32]:
        self._record(tensors, past)
        return self._runner.run(tensors, options, past)

    def _record(self, tensors: Mapping[str, Int64], past: Any) -> None:
        fed: dict[str, NDArray[Any]] = {name: tensors[role] for role, name in self._names.items()}
        before = self._empty if past is None else past
        if before is not None:
            fed[self._past] = before
        key = b"".join(array.tobytes() for array in fed.values())
        if key not in self._seen:
            self._seen[key] = {name: array.copy() for name, array in fed.items()}
