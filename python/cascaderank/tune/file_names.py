"""What a tuning keeps on disk is named by everything it depends on, so that nothing else ever meets it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from cascaderank.config import Stage
from cascaderank.evaluate.requests import Request, candidate_documents
from cascaderank.manifest import PAIRED
from cascaderank.model import ModelSpec
from cascaderank.stages.base import ModelPart


def data_digest(requests: Sequence[Request]) -> str:
    """Identifies queries, candidates and their texts: scores are bound to it and to the model's digest."""
    digest = hashlib.sha256()
    for document in candidate_documents(requests):
        given = f"{len(document.id)}:{document.id}{len(document.text)}:{document.text}"
        digest.update(given.encode("utf-8", "surrogatepass"))  # an id may hold a lone surrogate
    for request in requests:
        digest.update("\0".join((request.query_id, request.query, *request.ids)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def store_path(
    folder: Path, specs: Sequence[ModelSpec], stages: Sequence[Stage], providers: Sequence[str], data: str
) -> Path:
    """Where candidates of the data with that digest are kept as these stages take them. Only encoders leave anything
    computed there; what a pair's model keeps are tokens."""
    bound = [
        spec.digest + ("" if spec.kind in PAIRED else _computed_by(provider, stage))
        for spec, stage, provider in zip(specs, stages, providers, strict=True)
    ]
    binding = " ".join([data, *sorted(bound)])
    return folder / f"encoded-{hashlib.sha256(binding.encode()).hexdigest()[:16]}.store"


def score_path(folder: Path, part: ModelPart, stage: Stage, data: str, truncate_query: bool = False) -> Path:
    """Where a stage's scores of the data with that digest are kept."""
    spec = part.spec
    binding = f"{spec.digest} {data} {truncate_query} {stage.instruction or ''}"
    binding += _computed_by(part.session.provider, stage)
    name = f"{spec.name}-{hashlib.sha256(binding.encode()).hexdigest()[:16]}.npy"
    return folder / name.replace(os.sep, "_")


def _computed_by(provider: str, stage: Stage) -> str:
    """What the same model's numbers differ by: the provider that a session really uses, and whether it rounds to
    bfloat16. Nothing for the CPU, so that what was scored before this was part of a name is found again."""
    if provider == "cpu":
        return ""
    return f"\0{provider} bf16" if stage.precision == "bf16" else f"\0{provider}"
