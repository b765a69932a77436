"""What a model's files say about how it is scored: kind, pooling, activation, labels, prompts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.decoders.decide import MODEL_TYPES as DECODERS
from cascaderank.export.source import Source

_POOLING_MODES = {
    "cls": "cls",
    "mean": "mean",
    "lasttoken": "last_token",
    "max": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
}
_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
_ACTIVATIONS = {"Identity": "none", "Sigmoid": "sigmoid"}
_DECODER_HEADS = ("ForCausalLM", "ForSequenceClassification", "ForConditionalGeneration")
_PROMPTS = {"query": ("query",), "document": ("document", "passage", "corpus")}


def kind_of_files(source: Source) -> str | None:
    """The kind its architecture and modules show; None for an encoder that may be any."""
    architecture = str(next(iter(source.config.get("architectures") or ()), ""))
    if source.config.get("model_type") in DECODERS and architecture.endswith(_DECODER_HEADS) and not source.modules:
        return "decoder"
    if architecture.endswith("ForSequenceClassification") or source.settings.get("model_type") == "CrossEncoder":
        return "cross_encoder"
    kinds = [module.kind for module in source.modules]
    if "Pooling" in kinds:
        return "bi_encoder"
    return "late_interaction" if "Dense" in kinds else None


def prefix(source: Source, option: str | None, side: str) -> str:
    """The text sentence-transformers would put before a query or a document, unless the caller says otherwise.

    Raises ``ModelError`` for prompts of which none is named for either side: which one ranks is the caller's to say.
    """
    if option is not None:
        return option
    prompts = {name: text for name, text in (source.settings.get("prompts") or {}).items() if text}
    names = (*_PROMPTS[side], source.settings.get("default_prompt_name"))
    found = next((str(prompts[name]) for name in names if name in prompts), "")
    known = {*_PROMPTS["query"], *_PROMPTS["document"], source.settings.get("default_prompt_name")}
    if prompts and not known.intersection(prompts):
        raise ModelError(
            f"{source.name}: has prompts for {', '.join(sorted(prompts))} but names none for queries or documents; say "
            f'what goes before a {side} with {side}_prefix (--{side}-prefix TEXT, or "" for nothing)'
        )
    return found


def names_prompts(source: Source) -> bool:
    """Whether its files say anything of texts before queries and documents."""
    return any((source.settings.get("prompts") or {}).values())


def labels(config: Mapping[str, Any]) -> int:
    """How many columns its classification head has."""
    # transformers writes id2label always, num_labels only where there is none; two labels are its default.
    names = config.get("id2label")
    return len(names) if isinstance(names, Mapping) else int(config.get("num_labels", 2))


def activation(source: Source) -> str:
    """The activation sentence-transformers applies to one label: named in its files, else a sigmoid."""
    inside = source.config.get("sentence_transformers")
    named = (
        source.settings.get("activation_fn")
        or (inside.get("activation_fn") if isinstance(inside, Mapping) else None)
        or source.config.get("sbert_ce_default_activation_function")
    )
    if named is None:
        return "sigmoid"
    score = _ACTIVATIONS.get(str(named).rpartition(".")[2])
    if score is None:
        raise ModelError(
            f"{source.name}: activation {named!r} is neither Identity nor Sigmoid; say how a logit becomes a score "
            "with score (--score none or --score sigmoid)"
        )
    return score


def pooling_of(source: Source) -> str:
    """How its Pooling module makes one vector of the tokens', "none" without one; in the words of ``heads.pool``.

    Raises ``ModelError`` for other modes and for several at once.
    """
    module = next((module for module in source.modules if module.kind == "Pooling"), None)
    if module is None:
        return "none"
    mode = module.config.get("pooling_mode")
    if mode is None:
        modes = [name for key, name in _LEGACY_POOLING.items() if module.config.get(key)]
        mode = modes[0] if len(modes) == 1 else modes
    if isinstance(mode, str) and mode in _POOLING_MODES:
        return _POOLING_MODES[mode]
    raise ModelError(f"{source.name}: pooling {mode!r} is not supported; one of {', '.join(_POOLING_MODES)} is")
