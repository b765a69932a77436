"""ColBERT's own artifact (Santhanam et al., NAACL 2022): its settings and projection, read as those of PyLate are.

``artifact.metadata`` is a JSON file; the projection ``linear.weight`` lies among the transformer's weights. Defaults
are those of ColBERT's settings.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from cascaderank.errors import ModelError

METADATA = "artifact.metadata"
ARCHITECTURE = "HF_ColBERT"


def is_colbert(config: Mapping[str, Any]) -> bool:
    """Whether config.json is that of ColBERT's own model class."""
    return ARCHITECTURE in (config.get("architectures") or ())


def settings_of(metadata: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The same as PyLate's entries of config_sentence_transformers.json.

    Raises ``ModelError`` where the file is missing (``metadata`` is empty) or asks for another similarity.
    """
    if not metadata:
        raise ModelError(
            f"{where}: {ARCHITECTURE} without {METADATA}, which holds its markers and lengths; add the file"
        )
    if (similarity := metadata.get("similarity", "cosine")) != "cosine":
        raise ModelError(f"{where}: {METADATA} has similarity {similarity!r}; only 'cosine' can be run")
    return {
        "query_prefix": metadata.get("query_token_id") or "[unused0]",
        "document_prefix": metadata.get("doc_token_id") or "[unused1]",
        "query_length": metadata.get("query_maxlen") or 32,
        "document_length": metadata.get("doc_maxlen") or 220,
        "do_query_expansion": True,
        "attend_to_expansion_tokens": bool(metadata.get("attend_to_mask_tokens", False)),
        "skiplist_words": list(string.punctuation) if metadata.get("mask_punctuation", True) else [],
    }


def projection_of(metadata: Mapping[str, Any], hidden_size: int) -> dict[str, Any]:
    """The projection as the config.json of a Dense module."""
    return {
        "in_features": hidden_size,
        "out_features": metadata.get("dim") or 128,
        "bias": False,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
