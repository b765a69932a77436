"""A cascade tried out in a process of its own before it is let in: it yields to whoever serves, and a model that ends
its process ends that one."""

from __future__ import annotations

import json
import math
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from cascaderank import errors
from cascaderank.cascade import Cascade
from cascaderank.config import CascadeConfig
from cascaderank.errors import CascadeError, ModelError
from cascaderank.store import Store
from cascaderank.warm_up import RunPlan

Plans = Sequence[RunPlan | None]  # one per stage; None where there was nothing to choose
_QUERY = "how many days are there in a week"
_DOCUMENTS = ["The recipe needs two eggs, some flour and a pinch of salt.", "A week has seven days."]
# Below those that serve: about a tenth of a core that they keep busy, all of one that they leave. A higher value would
# make a swap on a busy machine take minutes.
_NICENESS = 10


def check(cascade: Cascade, *, golden: bool = True, store: Store | None = None) -> None:
    """Golden scores of the models that have some, finite scores of a pair, by each stage alone (a ``when`` may keep one
    from so few documents) and by all together, and a store of these models.

    ``golden`` False leaves out what is asked of each stage alone: a trial has done it. Raises ``CascadeError``. Models
    without golden scores are older or synthetic; their hashes and the pair vouch alone.
    """
    if golden and all(spec.golden is not None for spec in cascade.models):
        cascade.check_golden()
    elif golden:
        for stage, spec in zip(cascade.config.stages, cascade.models, strict=True):
            if spec.golden is not None:
                with Cascade([stage]) as alone:
                    alone.check_golden()
    for stage in cascade.config.stages if golden else ():
        if stage.candidates_over is not None or stage.stored is not None:
            with Cascade([replace(stage, candidates_over=None, stored=None)]) as alone:
                alone.rank(_QUERY, _DOCUMENTS)  # raises where a score is not finite
    ranking = cascade.rank(_QUERY, _DOCUMENTS)
    if not all(hit.score is None or math.isfinite(hit.score) for hit in ranking):
        raise ModelError("the smoke pair's scores are not finite numbers; export the models again")
    if store is not None and len(store):
        cascade.rank(_QUERY, ids=store.ids[:1], store=store)


class Trial:
    """Tries one cascade after another; ``end`` is for another thread and ends the one under way and all later ones.

    ``patience_s`` bounds one: a model whose run never ends must not keep all later ones out.
    """

    def __init__(self, patience_s: float = 1800.0) -> None:
        self._patience_s = patience_s
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False

    def run(self, config: CascadeConfig, store: Path | None) -> Plans:
        """Load and ``check`` there what ``config`` names, and choose how each stage runs on this machine.

        Raises the ``CascadeError`` that was met there; ``ModelError`` where the process ended without an answer.
        """
        # Everything it needs is found as this process finds it; a group of its own, since Ctrl-C is for the server.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "cascaderank.trial"]
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                process_group=0,
            )
        except OSError as error:
            raise CascadeError(f"no process to try new models in: {error}") from error
        self._process = process
        with process:
            with suppress(OSError):  # it may be gone, or the system may not allow it: then it is only less polite
                os.setpriority(os.PRIO_PROCESS, process.pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)
            if self._ended:
                process.kill()
            try:
                said, complaint = process.communicate(pickle.dumps((config, store)), self._patience_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise ModelError(
                    f"trying the models took more than {self._patience_s:g} s, which is given up; does a run ever end?"
                ) from None
        self._process = None
        if self._ended:
            raise CascadeError("the trial of new models was ended")
        if process.returncode or not said:
            raise ModelError(
                f"the process that tried the models {_ending(process.returncode)}{_last_line(complaint)}; they are not "
                "let into this one"
            )
        return _read(json.loads(said))

    def end(self) -> None:
        self._ended = True
        if (process := self._process) is not None:
            process.kill()


def _read(answer: dict[str, Any]) -> Plans:
    if "error" in answer:
        kind = getattr(errors, answer["error"], CascadeError)
        raise kind(answer["message"])
    return [None if plan is None else RunPlan(*plan) for plan in answer["plans"]]


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _last_line(complaint: bytes) -> str:
    lines = complaint.decode("utf-8", "replace").strip().splitlines()
    return f" ({lines[-1][:500]})" if lines else ""


def _tried(config: CascadeConfig, store: Path | None) -> dict[str, Any]:
    try:
        with Cascade(replace(config, deadline_ms=None, check_golden=False)) as cascade:
            check(cascade, store=None if store is None else Store.open(store))
            warmed = cascade.warm_up()
    except CascadeError as error:
        return {"error": type(error).__name__, "message": str(error)}
    return {"plans": [astuple(one.plan) if one.compared else None for one in warmed]}


def main() -> None:
    """The other process: settings on stdin, the answer on stdout, which is kept from whatever else would print."""
    answers = os.dup(1)
    os.dup2(2, 1)
    config, store = pickle.load(sys.stdin.buffer)
    answer = json.dumps(_tried(config, store)).encode()
    with open(answers, "wb") as stream:
        stream.write(answer)


if __name__ == "__main__":
    main()
