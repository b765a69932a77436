"""One cascade asked in this process, or in a process of its own through a pipe."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from cascaderank import Cascade
from cascaderank.config import CascadeConfig
from cascaderank.demo.search import FirstPass
from cascaderank.store import Store

TOP_N = 5
_SPAWN = multiprocessing.get_context("spawn")


class Engine(Protocol):
    def answer(self, request: FirstPass) -> list[str]: ...


class Here:
    """The cascade in this process."""

    def __init__(self, cascade: Cascade, store: Store) -> None:
        self._cascade, self._store = cascade, store

    def answer(self, request: FirstPass) -> list[str]:
        return [hit.id for hit in request.rank_by(self._cascade, self._store, TOP_N)]


class Apart:
    """The cascade in a process of its own, asked through a pipe."""

    def __init__(self, config: CascadeConfig, store: Path) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, config, store), daemon=True)
        self._process.start()
        self._pipe.recv()

    def answer(self, request: FirstPass) -> list[str]:
        self._pipe.send(request)
        found: list[str] = self._pipe.recv()
        return found

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()


def _serve(pipe: Connection, config: CascadeConfig, folder: Path) -> None:
    with Cascade(config) as cascade:
        engine = Here(cascade, Store.open(folder))
        cascade.warm_up()
        pipe.send("ready")
        while (request := pipe.recv()) is not None:
            pipe.send(engine.answer(request))
