"""Late-interaction stage: one vector per token, scored by MaxSim (ColBERT, Khattab and Zaharia, SIGIR 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cascaderank.errors import ModelError, StoreError
from cascaderank.job import clock
from cascaderank.kernels import Int64, Ragged, Template, gather_tokens, maxsim_rows, normalize_rows, plan
from cascaderank.request import Request
from cascaderank.stages.base import Counts, Float32, ModelPart, Scored
from cascaderank.stages.limits import STORED_WHOLE, limited
from cascaderank.store import TokenVectors

_NONE = np.empty(0, np.int64)


class LateInteraction:
    def __init__(self, part: ModelPart) -> None:
        self.part = part
        spec, output = part.spec, part.spec.output
        self._query_form = part.template(spec.input.query)
        self.document_form = part.template(spec.input.document)
        special = sum(1 for piece in self._query_form.parts if piece >= 0)
        self._room = (output.query_length or spec.max_length) - special
        part.query_room(self.document_form)
        if self._room < 1:
            raise ModelError(
                f"{spec.folder}: query_length {output.query_length} leaves no room for a query beside {special} "
                "special tokens; correct it in model.toml"
            )
        self._mask_id = part.tokenizer.token_id(output.mask_token) if output.query_length else 0
        self._skip = np.array([part.tokenizer.token_id(token) for token in output.skip_tokens], np.int64)

    def check_query(self, request: Request) -> None:
        self.part.query(request, Counts(), self._room)

    def _encode_query(self, request: Request, counts: Counts) -> Float32 | None:
        """Token vectors float32 ``[tokens, dimension]`` of the query, expanded with mask tokens where the model wants
        it; None when the deadline came first."""
        part, output = self.part, self.part.spec.output
        begun = clock()
        query = self.part.query(request, counts, self._room)
        counts.tokenize_s += clock() - begun
        expansion = _NONE
        if output.query_length:
            special = output.query_length - self._room
            expansion = np.full(output.query_length - special - len(query), self._mask_id, np.int64)
        # Expansion tokens follow the template's tail, so they are packed as part of a template of their own.
        form = Template(
            [*self._query_form.parts, *expansion.tolist()],
            [*self._query_form.segments, *([0] * len(expansion) if self._query_form.segments else [])],
            self._query_form.pad,
            self._query_form.position_offset,
            max(part.spec.max_length, output.query_length),
        )
        texts = Ragged(query, np.array([0, len(query)], np.int64))
        rows = np.zeros(1, np.int64)
        # A query is one row whatever the rule; it is planned apart because an empty text is a row too.
        made = plan(texts, rows, 0, form, part.rule)
        found: list[Float32] = []

        def keep(_: int, __: dict[str, Int64], hidden: NDArray[np.float32]) -> None:
            vectors = np.ascontiguousarray(hidden[0, : int(made.lengths[0])])
            if not np.isfinite(vectors).all():
                raise part.not_finite(request, None, {}, hidden)
            if output.normalize:
                normalize_rows(vectors)
            found.append(vectors)

        part.execute(
            made,
            _NONE,
            texts,
            rows,
            form,
            request,
            counts,
            keep,
            unattended=0 if output.attend_to_expansion else len(expansion),
        )
        return found[0] if found else None

    def encode(
        self, texts: Ragged, rows: Int64, request: Request, counts: Counts, candidates: Int64
    ) -> tuple[TokenVectors, Int64]:
        """Token vectors of the named texts without the tokens in ``skip_tokens``, row ``i`` of the result for the
        ``i``-th returned position (ascending). ``candidates`` names the documents in errors."""
        part, output = self.part, self.part.spec.output
        form = limited(self.document_form, part, request)
        made = part.plan(texts, rows, _NONE, form, request, counts)
        found: dict[int, Float32] = {}

        def keep(batch: int, tensors: dict[str, Int64], hidden: NDArray[np.float32]) -> None:
            mask = tensors.get("attention_mask")
            kept = np.ones(hidden.shape[:2], np.int64) if mask is None else mask.copy()
            if self._skip.size:
                kept[np.isin(tensors["input_ids"], self._skip)] = 0
            vectors = np.empty((int(kept.sum()), output.dimension), np.float32)
            offsets = np.empty(len(kept) + 1, np.int64)
            held = made.order[made.bounds[batch] : made.bounds[batch + 1]]
            try:
                gather_tokens(hidden, kept, output.normalize, vectors, offsets)
            except ValueError as error:
                if np.isfinite(hidden).all():
                    raise
                raise part.not_finite(request, candidates[held], tensors, hidden) from error
            for row, position in enumerate(held.tolist()):
                found[position] = vectors[offsets[row] : offsets[row + 1]]

        part.execute(made, _NONE, texts, rows, form, request, counts, keep)
        positions = np.array(sorted(found), np.int64)
        pieces = [found[position] for position in positions.tolist()]
        cu_seqlens = np.zeros(len(pieces) + 1, np.int64)
        np.cumsum([len(piece) for piece in pieces], out=cu_seqlens[1:])
        vectors = np.concatenate(pieces) if pieces else np.empty((0, output.dimension), np.float32)
        return TokenVectors(vectors, cu_seqlens), positions

    def _maxsim(self, query: Float32, documents: TokenVectors, rows: Int64) -> Float32:
        return maxsim_rows(query, documents.vectors, documents.cu_seqlens, rows, self.part.spec.output.length_normalize)

    def score(self, request: Request, alive: Int64, counts: Counts) -> Scored:
        part, store = self.part, request.store
        query = self._encode_query(request, counts)
        if query is None:
            return Scored(_NONE, np.empty(0, np.float32), 1)
        scores: Float32 = np.empty(len(alive), np.float32)
        known, missing = _NONE, np.arange(len(alive))
        if store is not None and request.store_rows is not None and part.spec.digest in store.schema.token_vectors:
            rows = request.store_rows[alive]
            known, missing = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
            scores[known] = store.maxsim(part.spec.digest, query, rows[known], part.spec.output.length_normalize)
            if known.size and request.max_document_tokens is not None:
                counts.notes.append(STORED_WHOLE)
        elif store is not None and not request.candidates.texts:
            raise StoreError(
                f"store: no token vectors of model {part.spec.name!r} ({part.spec.digest[:12]}); {store.remedy}"
            )
        if missing.size:
            begun = clock()
            texts, rows = request.document_tokens(
                part.tokenizer, part.spec.input.document_wording, alive[missing], part.tokenize_cost
            )
            missing, rows = missing[rows >= 0], rows[rows >= 0]
            tokenized = clock()
            counts.tokenize_s += tokenized - begun
            vectors, reached = self.encode(texts, rows, request, counts, alive[missing])
            scores[missing[reached]] = self._maxsim(query, vectors, np.arange(len(reached)))
            known = np.sort(np.concatenate([known, missing[reached]]))
            seconds = clock() - tokenized
            counts.encode_s += seconds
            counts.notes.append(
                f"encoded {len(reached)} documents without stored vectors in {seconds * 1e3:.0f} ms; "
                "Cascade.encode() ahead of time saves that"
            )
        return Scored(known, scores[known], 1)
