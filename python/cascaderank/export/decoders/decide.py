"""Decides how a decoder is run: its own files say what it is, only the template says what it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascaderank.errors import ModelError
from cascaderank.export.decoders.seq2seq import MODEL_TYPES as SEQ2SEQ
from cascaderank.export.decoders.template import DecoderTemplate, read_template, template_names
from cascaderank.export.source import Source

if TYPE_CHECKING:
    from cascaderank.export.decide import Options

CAUSAL = ("qwen2", "qwen3", "llama", "mistral", "gemma")
"""Causal models whose layers all keep keys and values of one shape, and whose logits are a plain product."""
MODEL_TYPES = (*CAUSAL, *SEQ2SEQ)


def decide_decoder(source: Source, options: Options, tokenizer_limit: int | None) -> tuple[DecoderTemplate, int]:
    """The template and the window. Raises ``ModelError`` naming the option that settles what the files leave open."""
    config, where = source.config, source.name
    model_type = config.get("model_type")
    if model_type not in MODEL_TYPES:
        raise ModelError(f"{where}: model_type {model_type!r} as a decoder; supported are {', '.join(MODEL_TYPES)}")
    if options.template is None:
        raise ModelError(
            f"{where}: no file of it says what it is asked; choose the template it was trained with (--template "
            f"{', '.join(template_names())}, or a TOML file of yours)"
        )
    for given in ("pooling", "normalize", "query_prefix", "document_prefix", "score"):
        if getattr(options, given) is not None:
            raise ModelError(f"{where}: {given} was given, but a decoder's template holds it; write it into a copy")
    template = options.template if isinstance(options.template, DecoderTemplate) else read_template(options.template)
    if template.encoder_decoder != (model_type in SEQ2SEQ):
        kind = "an encoder and a decoder" if template.encoder_decoder else "a decoder alone"
        raise ModelError(f"{where}: template {template.name} is for {kind}, which a {model_type} model is not")
    return template, _window(source, options, template, tokenizer_limit)


def _window(source: Source, options: Options, template: DecoderTemplate, tokenizer_limit: int | None) -> int:
    config = source.config
    if config.get("model_type") in SEQ2SEQ:
        window = options.max_length or template.max_length
        if window is None:
            raise ModelError(f"{source.name}: relative positions and a template without max_length; give --max-length")
        return window
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 8:
        raise ModelError(f"{source.name}: config.json has max_position_embeddings {positions!r}, expected at least 8")
    limits = [positions]
    sliding = config.get("sliding_window")
    if isinstance(sliding, int) and config.get("use_sliding_window", True):
        limits.append(sliding)  # inside its window local attention is full attention
    usable = min(limits)
    if options.max_length is not None:
        if not 8 <= options.max_length <= usable:
            raise ModelError(f"{source.name}: max_length {options.max_length}; this model takes 8 to {usable} tokens")
        return options.max_length
    return min([usable, *(limit for limit in (template.max_length, tokenizer_limit) if limit)])
