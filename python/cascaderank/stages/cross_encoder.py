"""Cross-encoder stage: query and document in one row, one logit per pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cascaderank.job import clock
from cascaderank.kernels import Int64, Template
from cascaderank.request import Request
from cascaderank.stages.base import Counts, Float32, ModelPart, Scored
from cascaderank.stages.limits import limited
from cascaderank.stages.micro_batches import Run

_ROUND = 64  # candidates tokenised and scored before the next are looked at when there is a deadline


class CrossEncoder:
    def __init__(self, part: ModelPart) -> None:
        self.part = part
        self._form = part.template(part.spec.input.pair)
        self._room = part.query_room(self._form)

    def _query(self, request: Request, counts: Counts) -> Int64:
        # A query that is cut keeps at most three quarters of the window, as BAAI's and mixedbread's rerankers do.
        return self.part.query(request, counts, self._room, self.part.spec.max_length * 3 // 4)

    def _rows(self, request: Request, query: Int64, counts: Counts) -> tuple[Int64, Template, Run | None] | None:
        """What stands before each document, the template, and how to run it; None when the deadline came first."""
        return query, self._form, None

    def check_query(self, request: Request) -> None:
        self._query(request, Counts())

    def score(self, request: Request, alive: Int64, counts: Counts) -> Scored:
        if request.budget.due is None:
            return self._score(request, alive, counts)
        # Tokenising everybody first could leave no time to score anybody, so the best go through both steps first.
        size = max(_ROUND, self.part.rule.max_rows)
        rounds: list[Scored] = []
        for start in range(0, len(alive), size):
            some = alive[start : start + size]
            found = self._score(request, some, counts)
            rounds.append(Scored(found.positions + start, found.outputs, found.columns))
            if len(found.positions) < len(some):
                break
        return Scored(
            np.concatenate([found.positions for found in rounds]),
            np.concatenate([found.outputs for found in rounds]),
            self.part.spec.output.columns,
        )

    def _score(self, request: Request, alive: Int64, counts: Counts) -> Scored:
        part, columns = self.part, self.part.spec.output.columns
        begun = clock()
        query = self._query(request, counts)
        texts, rows = request.document_tokens(
            part.tokenizer, part.spec.input.document_wording, alive, part.tokenize_cost
        )
        held = np.flatnonzero(rows >= 0)
        rows = rows[held]
        counts.tokenize_s += clock() - begun
        outputs: Float32 = np.empty((len(rows), columns), np.float32)
        ready = self._rows(request, query, counts)
        if ready is None:
            return Scored(np.empty(0, np.int64), outputs[:0].reshape(-1), columns)
        query, form, run = ready
        form = limited(form, part, request, len(query))
        made = part.plan(texts, rows, query, form, request, counts)
        bounds = made.bounds

        def keep(batch: int, _: dict[str, Int64], output: NDArray[np.float32]) -> None:
            outputs[bounds[batch] : bounds[batch + 1]] = output

        done = part.execute(made, query, texts, rows, form, request, counts, keep, run=run)
        if len(done) != len(made):
            parts = [outputs[bounds[batch] : bounds[batch + 1]] for batch in done]
            outputs = np.concatenate(parts) if parts else outputs[:0]
        return Scored(held[part.positions(made, done)], outputs.reshape(-1), columns)
