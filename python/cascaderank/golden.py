"""Golden scores: a model folder says what fixed pairs score, and this says whether they do, wherever the folder runs.

A wrong template, segment, position or column gives plausible scores and never an error. So a manifest holds raw logits
of fixed pairs, made when the parity gate was passed, and the hash of everything that turns their texts into rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cascaderank.documents import check_query, read_documents
from cascaderank.errors import ModelError
from cascaderank.job import Budget
from cascaderank.manifest import GoldenPair
from cascaderank.model import MANIFEST, ModelSpec
from cascaderank.request import Request
from cascaderank.stages import Counts, Scorer
from cascaderank.tokenizer import TextTokenizer

_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class GoldenCheck:
    """What a check that passed found: the largest difference in raw logits over so many pairs."""

    pairs: int
    max_abs_diff: float
    tolerance: float


def make_request(query: str, documents: Sequence[str]) -> Request:
    """A request outside a cascade, without store and deadline."""
    return Request(check_query(query), read_documents(list(documents), None, _LIMIT), None, None, Budget())


def raw_logits(scorer: Scorer, pairs: Sequence[tuple[str, str]], instruction: str | None = None) -> NDArray[np.float32]:
    """What the stage orders by, float32 ``[pairs]``: a logit (of two columns the second minus the first), a dot
    product, or MaxSim. Pairs of one query go as one request, which says ``instruction`` (None: the stage's own)."""
    places: dict[str, list[int]] = {}
    for place, (query, _) in enumerate(pairs):
        places.setdefault(query, []).append(place)
    logits = np.empty(len(pairs), np.float32)
    for query, group in places.items():
        request = make_request(query, [pairs[place][1] for place in group])
        request.instruction = instruction
        scored = scorer.score(request, np.arange(len(group)), Counts())
        if len(scored.positions) < len(group):
            raise ModelError(f"{scorer.part.spec.folder}: no memory for a run of its golden pairs; free some")
        columns = scored.outputs.reshape(-1, scored.columns)
        values = columns[:, 1] - columns[:, 0] if scored.columns == 2 else columns[:, 0]
        logits[np.array(group)[scored.positions]] = values
    return logits


def template_hash(spec: ModelSpec, tokenizer: TextTokenizer, pairs: Sequence[GoldenPair]) -> str:
    """sha256 over ``[input]``, the window and the token ids of the golden texts: equal hashes, equal rows."""
    form = spec.input
    query, document = form.query_wording(), form.document_wording
    texts = [(query.around(pair.query), document.around(pair.document)) for pair in pairs]
    ids = [[tokenizer.encode(text).tolist() for text in both] for both in texts]
    parts = [spec.manifest["input"], spec.max_length, ids]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_golden(scorer: Scorer) -> GoldenCheck:
    """Score the manifest's golden pairs as requests are scored.

    Raises ``ModelError`` where the manifest has none, where the template is not what it was, or where a logit is
    further from its golden one than the tolerance.
    """
    spec = scorer.part.spec
    golden, where = spec.golden, spec.folder / MANIFEST
    if golden is None:
        raise ModelError(f"{where}: no [golden] scores to check; export the model again, which writes them")
    if template_hash(spec, scorer.part.tokenizer, golden.pairs) != golden.template:
        raise ModelError(
            f"{where}: the template is not the one its golden scores were made with: [input] or max_length was changed "
            "after export, or this tokenizers library splits texts differently; export the model again"
        )
    expected = np.array([pair.logit for pair in golden.pairs])
    # Golden pairs were scored with the model's own instruction, whatever this stage is told.
    found = raw_logits(scorer, [(pair.query, pair.document) for pair in golden.pairs], spec.input.instruction)
    differences = np.nan_to_num(np.abs(found - expected), nan=np.inf)
    missed = int((differences > golden.tolerance).sum())
    if missed:
        worst = int(np.argmax(differences))
        pair = golden.pairs[worst]
        raise ModelError(
            f"{spec.folder}: {missed} of {len(expected)} golden scores are not met: query {pair.query[:60]!r} with "
            f"document {pair.text[:60]!r} gets {found[worst]:.6g}, golden is {pair.logit:.6g} (tolerance "
            f"{golden.tolerance:g}); template, segments, positions, columns or the graph are not those the model was "
            "exported with, export it again"
        )
    return GoldenCheck(len(expected), float(differences.max()), golden.tolerance)
