"""What a graph is fed for typical texts: inputs that show which channels are large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import InputError
from cascaderank.evaluate.data import load_beir
from cascaderank.export.calibration_file import read_pairs
from cascaderank.export.engine import Engine
from cascaderank.export.pairs import Pair, parity_pairs
from cascaderank.session import Runner, Session

Int64 = NDArray[np.int64]

PAIRS, PAIRS_OF_FILE = 64, 256
TRAIN = "train"


@dataclass(frozen=True, slots=True)
class Typical:
    """Inputs of a graph for typical texts, every distinct one once, and in words which texts those are.

    ``inputs`` are by name, as the engine packs them: int64 ``[1, length]`` each, and float32 keys and values of what
    comes before a decoder's rows.
    """

    inputs: list[dict[str, NDArray[Any]]]
    texts: str


def typical_inputs(folder: Path, data: Path | None = None, split: str = "dev", file: Path | None = None) -> Typical:
    """What the graph in the model folder ``folder`` is fed for typical texts.

    Those are the pairs of ``file`` where there is one (see ``read_pairs``; at most ``PAIRS_OF_FILE``, evenly chosen);
    else training pairs of ``data`` (a folder in the layout of BEIR) where it has a split "train" that is not ``split``,
    on which the result will be measured; otherwise those of the parity gate. Raises ``InputError`` for a file none of
    whose queries fits the model, or that has a query of ``split``.
    """
    with Engine(folder, workers=1) as engine:
        if file is not None:
            pairs, texts = _pairs_of_file(engine, file, data, split), file.name
        elif pairs := _training_pairs(engine, data, split):
            texts = f"{Path(data or '').name} {TRAIN}"
        else:
            pairs = list(parity_pairs(engine.count_tokens, engine.query_limit(), engine.spec.max_length))
            texts = "texts of the parity gate"
        part = engine.part
        part.session = recorder = _Recorder(part.session)
        engine.logits(pairs)
    return Typical(list(recorder.seen.values()), f"{texts}, {len(pairs)} pairs")


def _pairs_of_file(engine: Engine, file: Path, data: Path | None, split: str) -> list[Pair]:
    judged = set() if data is None else set(load_beir(data, split).queries.values())
    pairs = read_pairs(file, judged)
    fitting = [pair for pair in pairs if engine.count_tokens(pair[0]) <= engine.query_limit()]
    if not fitting:
        raise InputError(f"{file}: none of its {len(pairs)} queries fits {engine.spec.name!r}; give shorter ones")
    return fitting[:: -(-len(fitting) // PAIRS_OF_FILE)]


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
