"""Decoder stage: a language model reads instruction, query and document and answers at its last token.

A causal model sees nothing of what comes later, so keys and values of everything before the document (system text,
instruction, query) are the same for all documents: they are computed once per request and are each row's past.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cascaderank.kernels import DOCUMENT, QUERY, Int64, PlanRule, Ragged, Template, plan
from cascaderank.request import Request
from cascaderank.session import Runner
from cascaderank.stages.base import Counts, ModelPart
from cascaderank.stages.cross_encoder import CrossEncoder
from cascaderank.stages.micro_batches import Run

_NONE = np.empty(0, np.int64)


class Decoder(CrossEncoder):
    """``share`` is for measuring: False computes the part before the document for each row again."""

    def __init__(self, part: ModelPart, share: bool = True) -> None:
        super().__init__(part)
        form = self._form
        query, document = form.parts.index(QUERY), form.parts.index(DOCUMENT)
        self._before, self._between = form.parts[:query], form.parts[query + 1 : document]
        self._after = form.parts[document + 1 :]
        self._shares = share and bool(part.spec.output.present)

    def _rows(self, request: Request, query: Int64, counts: Counts) -> tuple[Int64, Template, Run | None] | None:
        if not self._shares:
            return query, self._form, None
        form = self._form
        prefix = np.concatenate([self._before, query, self._between]).astype(np.int64)
        rest = Template([DOCUMENT, *self._after], [], form.pad, 0, form.max_length - len(prefix))
        key = (id(self), prefix.tobytes())
        past = request.kept.get(key)
        if past is None:
            past = self._past(prefix, request, counts)
            if past is None:
                return None
            request.kept[key] = past
        return _NONE, rest, lambda runner, views, options: runner.run(views, options, past)

    def _past(self, prefix: Int64, request: Request, counts: Counts) -> Any:
        """Keys and values of the tokens before the document; None when the deadline came first."""
        part, form = self.part, self._form
        texts, rows = Ragged(prefix, np.array([0, len(prefix)], np.int64)), np.zeros(1, np.int64)
        alone = Template([DOCUMENT], [], form.pad, 0, form.max_length)
        # One row without padding, whatever the stage's rule: keys and values of padding would be part of every past.
        made = plan(texts, rows, 0, alone, PlanRule(part.rule.token_budget, 1, 1, 1))
        found: list[Any] = []

        def run(runner: Runner, views: dict[str, Int64], options: Any) -> Any:
            return runner.prefix(views, options)

        part.execute(made, _NONE, texts, rows, alone, request, counts, lambda _, __, past: found.append(past), run=run)
        return found[0] if found else None
