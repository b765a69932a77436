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


def calibration_inputs(folder: Path, data: Path | None = None, split: str = "dev") -> list[dict[str, Int64]]:
    """Inputs of the graph in the model folder ``folder`` by name, int64 ``[1, length]`` each, as the engine packs them.

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
        self.seen: dict[bytes, dict[str, Int64]] = {}

    @contextmanager
    def lease(self) -> Iterator[Runner]:
        with super().lease() as runner:
            yield _RecordingRunner(runner, self.spec.input.names, self.seen)


class _RecordingRunner:
    def __init__(self, runner: Runner, names: Mapping[str, str], seen: dict[bytes, dict[str, Int64]]) -> None:
        self._runner = runner
        self._names = names
        self._seen = seen

    def prefix(self, tensors: Mapping[str, Int64], options: Any) -> Any:
        raise NotImplementedError("decoders are not calibrated: their weights alone are quantised")

    def run(self, tensors: Mapping[str, Int64], options: Any, past: Any = None) -> NDArray[np.float32]:
        key = b"".join(tensors[role].tobytes() for role in self._names)
        self._seen.setdefault(key, {name: tensors[role].copy() for role, name in self._names.items()})
        return self._runner.run(tensors, options)
