"""Bi-encoder stage: one vector per text, scored by dot products; document vectors come from the store if they can."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import StoreError
from cascaderank.job import clock
from cascaderank.kernels import Int64, Ragged, Template, dot_rows, normalize_rows, pool_embeddings
from cascaderank.request import Request
from cascaderank.stages.base import Counts, Float32, ModelPart, Scored
from cascaderank.stages.limits import STORED_WHOLE, limited

_NO_QUERY = np.empty(0, np.int64)


class BiEncoder:
    def __init__(self, part: ModelPart) -> None:
        self.part = part
        self._query_form = part.template(part.spec.input.query)
        self.document_form = part.template(part.spec.input.document)
        self._room = part.query_room(self._query_form)

    def check_query(self, request: Request) -> None:
        self.part.query(request, Counts(), self._room)

    def encode(
        self,
        texts: Ragged,
        rows: Int64,
        form: Template,
        request: Request,
        counts: Counts,
        candidates: Int64 | None = None,
    ) -> tuple[Float32, Int64]:
        """Vectors of the named texts, float32 ``[len(rows), dimension]``, and the positions that were reached before
        the deadline (all without one). ``candidates`` names the documents in errors; None: the text is the query."""
        part, output = self.part, self.part.spec.output
        made = part.plan(texts, rows, _NO_QUERY, form, request, counts)
        vectors: Float32 = np.empty((len(rows), output.dimension), np.float32)
        bounds = made.bounds

        def keep(batch: int, tensors: dict[str, Int64], hidden: NDArray[np.float32]) -> None:
            batch_rows = slice(bounds[batch], bounds[batch + 1])
            target = vectors[batch_rows]
            try:
                if output.pooling == "none":
                    target[:] = hidden
                    if output.normalize:
                        normalize_rows(target)
                else:
                    mask = tensors.get("attention_mask")
                    mask = np.ones(hidden.shape[:2], np.int64) if mask is None else mask
                    pool_embeddings(hidden, mask, output.pooling, output.normalize, target)
            except ValueError as error:
                if np.isfinite(hidden).all():
                    raise
                held = None if candidates is None else candidates[made.order[batch_rows]]
                raise part.not_finite(request, held, tensors, hidden) from error
            if not output.normalize and not np.isfinite(target).all():
                held = None if candidates is None else candidates[made.order[batch_rows]]
                raise part.not_finite(request, held, tensors, hidden)

        done = part.execute(made, _NO_QUERY, texts, rows, form, request, counts, keep)
        positions = part.positions(made, done)
        ordered: Float32 = np.empty_like(vectors)
        ordered[made.order] = vectors
        return ordered, positions

    def score(self, request: Request, alive: Int64, counts: Counts) -> Scored:
        begun = clock()
        query = self.part.query(request, counts, self._room)
        counts.tokenize_s += clock() - begun
        cu_seqlens = np.array([0, len(query)], np.int64)
        vector, reached = self.encode(
            Ragged(query, cu_seqlens), np.zeros(1, np.int64), self._query_form, request, counts
        )
        if not reached.size:
            return Scored(_NO_QUERY, np.empty(0, np.float32), 1)
        scores: Float32 = np.empty(len(alive), np.float32)
        known, missing = self._split(request, alive)
        if known.size and request.store is not None and request.store_rows is not None:
            scores[known] = request.store.dot(self.part.spec.digest, vector[0], request.store_rows[alive[known]])
            if request.max_document_tokens is not None:
                counts.notes.append(STORED_WHOLE)
        if missing.size:
            found = self._score_texts(request, vector[0], alive, missing, scores, counts)
            known = np.sort(np.concatenate([known, found]))
        return Scored(known, scores[known], 1)

    def _split(self, request: Request, alive: Int64) -> tuple[Int64, Int64]:
        """Positions with a stored vector, and without."""
        everything = np.arange(len(alive))
        store = request.store
        if store is None or request.store_rows is None or self.part.spec.digest not in store.schema.vectors:
            if store is not None and not request.candidates.texts:
                raise StoreError(
                    f"store: no vectors of model {self.part.spec.name!r} ({self.part.spec.digest[:12]}); it has "
                    f"{sorted(store.models.values())}; {store.remedy}"
                )
            return everything[:0], everything
        stored = request.store_rows[alive] >= 0
        return everything[stored], everything[~stored]

    def _score_texts(
        self, request: Request, vector: Float32, alive: Int64, missing: Int64, scores: Float32, counts: Counts
    ) -> Int64:
        part = self.part
        begun = clock()
        texts, rows = request.document_tokens(
            part.tokenizer, part.spec.input.document_wording, alive[missing], part.tokenize_cost
        )
        missing, rows = missing[rows >= 0], rows[rows >= 0]
        tokenized = clock()
        counts.tokenize_s += tokenized - begun
        form = limited(self.document_form, part, request)
        vectors, reached = self.encode(texts, rows, form, request, counts, alive[missing])
        found = missing[reached]
        scores[found] = dot_rows(vector, vectors, reached)
        seconds = clock() - tokenized
        counts.encode_s += seconds
        counts.notes.append(
            f"encoded {len(found)} documents without stored vectors in {seconds * 1e3:.0f} ms; "
            "Cascade.encode() ahead of time saves that"
        )
        return found
