"""A decoder's scores in torch, as its authors' code takes them: the whole row at once, the whole vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cascaderank.export.decoders.form import template_ids
from cascaderank.export.decoders.template import DecoderTemplate
from cascaderank.export.extras import require
from cascaderank.export.pairs import Pair
from cascaderank.manifest import INSTRUCTION


def row_ids(template: DecoderTemplate, tokenizer: Any, max_length: int, pair: Pair) -> list[int]:
    """One row by the transformers tokenizer, in the pieces that the authors' code has."""

    def text_ids(text: str) -> list[int]:
        # Text is text: without split_special_tokens a document that contains "<|im_end|>" would get the token.
        return list(tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"])

    before, between, after = (
        template_ids(tokenizer, pieces) for pieces in (template.before, template.between, template.after)
    )
    said = template.instruction_prefix.replace(INSTRUCTION, template.instruction) if template.instruction else ""
    query = said + template.query_prefix + pair[0] + template.query_suffix
    document = template.document_prefix + pair[1]
    if template.tokenised == "body":
        body = text_ids(query + "".join(template.between) + document)
    else:
        body = text_ids(query) + between + text_ids(document)
    return before + body[: max_length - len(before) - len(after)] + after


def decoder_logits(
    template: DecoderTemplate,
    tokenizer: Any,
    model: Any,
    answers: Sequence[int],
    max_length: int,
    pairs: Sequence[Pair],
) -> NDArray[np.float32]:
    """The logit of each pair, float32 ``[pairs]``: of "yes" at the last token, less that of "no" where there is one."""
    torch = require("torch")
    found, more = [], {}
    if model.config.is_encoder_decoder:
        more = {"decoder_input_ids": torch.tensor([[model.config.decoder_start_token_id]])}
    for pair in pairs:
        ids = torch.tensor([row_ids(template, tokenizer, max_length, pair)])
        with torch.no_grad():
            logits = model(input_ids=ids, **more).logits[0].double()
        last = logits if logits.ndim == 1 else logits[-1][list(answers)]
        found.append(float(last[-1] - last[0]) if len(last) == 2 else float(last[-1]))
    return np.array(found, np.float32)
