"""Decoder rerankers: a language model whose answer at the last token is the score. One file per published template in
``templates``; a user's own file has the same form."""

from cascaderank.export.decoders.decide import decide_decoder
from cascaderank.export.decoders.form import decoder_form
from cascaderank.export.decoders.module import export_decoder, load_decoder
from cascaderank.export.decoders.reference import decoder_logits
from cascaderank.export.decoders.template import DecoderTemplate

__all__ = [
    "DecoderTemplate",
    "decide_decoder",
    "decoder_form",
    "decoder_logits",
    "export_decoder",
    "load_decoder",
]
