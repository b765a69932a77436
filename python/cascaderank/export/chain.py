"""The modules after a transformer: which, in which order, and that each takes what the one before gives."""

from __future__ import annotations

from cascaderank.errors import ModelError
from cascaderank.export.families import Family, hidden_size
from cascaderank.export.source import Module, Source

_IGNORED = ("Dropout",)  # does nothing at inference
_HEAD = {"Dense": "in_features", "LayerNorm": "dimension"}
_TOKENS = "token_embeddings"


def check_modules(source: Source, family: Family, kind: str) -> tuple[Module, ...]:
    """The modules that become the graph's head: Dense and LayerNorm, in order.

    Raises ``ModelError`` for a module, an order or a size that the exported graph would not reproduce: a normalisation
    before a projection, or tokens projected before they are pooled, would be other scores and no error.
    """
    modules = [module for module in source.modules[1:] if module.kind not in _IGNORED]
    kinds = [module.kind for module in modules]
    if unknown := [name for name in kinds if name not in (*_HEAD, "Pooling", "Normalize")]:
        raise ModelError(
            f"{source.name}: modules.json has {unknown[0]!r}, which cannot be exported; Pooling, Dense, LayerNorm and "
            "Normalize can"
        )
    head = tuple(module for module in modules if module.kind in _HEAD)
    pooled = "Pooling" in kinds
    tokens = [module for module in head if module.config.get("module_input_name") == _TOKENS]
    if "Pooling" in kinds[1:] or "Normalize" in kinds[:-1] or (pooled and tokens):
        raise ModelError(
            f"{source.name}: modules.json has {', '.join(kinds)} in this order{' over tokens' if tokens else ''}; "
            "expected Pooling first, then Dense or LayerNorm, then Normalize"
        )
    if kind == "cross_encoder" and "Normalize" in kinds:
        raise ModelError(
            f"{source.name}: modules.json has Normalize after a score; a cross-encoder gives a plain logit"
        )
    size = hidden_size(family, source.config)
    for module in head:
        takes = module.config.get(_HEAD[module.kind])
        if size and takes != size:
            raise ModelError(
                f"{source.name}: {module.folder.name} has {_HEAD[module.kind]} {takes!r}, but what comes before it has "
                f"{size} components; give the folder of a finished model"
            )
        size = module.config.get("out_features", size)
    return head
