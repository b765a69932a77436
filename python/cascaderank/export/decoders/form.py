"""A decoder's template in tokens of its tokenizer, as the manifest holds it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.decoders.template import DecoderTemplate

_MARKER = re.compile(r"<\|\w+\|>|<bos>|<s>|</?think>")  # what published templates have as one token


def template_ids(tokenizer: Any, pieces: Sequence[str]) -> list[int]:
    """Token ids of a template's pieces, each tokenised on its own; special tokens are tokens here."""
    return [token for piece in pieces for token in tokenizer(piece, add_special_tokens=False)["input_ids"]]


def decoder_form(template: DecoderTemplate, tokenizer: Any, where: str) -> tuple[str, ...]:
    """The ``pair`` entry of ``[input]``: every token around the two texts by name.

    Raises ``ModelError`` where the tokenizer splits a special token of the template, or lacks one.
    """
    before, between, after = (
        _names(template_ids(tokenizer, pieces), tokenizer, where)
        for pieces in (template.before, template.between, template.after)
    )
    known = tokenizer.get_added_vocab()
    for marker in _MARKER.findall("".join((*template.before, *template.between, *template.after))):
        if marker not in known:
            raise ModelError(f"{where}: the template {template.name} has {marker}, which is no token of its tokenizer")
    return (*before, "$query", *between, "$document", *after)


def answer_ids(template: DecoderTemplate, tokenizer: Any, where: str) -> list[int]:
    """The tokens of the answers: ``[no, yes]``, or ``[yes]``. Raises ``ModelError`` where one is not a single token."""
    found = []
    for answer in (template.no, template.yes):
        if not answer:
            continue
        ids = tokenizer(answer, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise ModelError(
                f"{where}: the answer {answer!r} of template {template.name} is {len(ids)} tokens here, "
                f"{tokenizer.convert_ids_to_tokens(ids)}; an answer is one token"
            )
        found += ids
    return found


def pad_token(tokenizer: Any, where: str) -> str:
    """The token that fills rows up; any will do, nothing looks at it."""
    token = tokenizer.pad_token or tokenizer.eos_token
    if token is None:
        raise ModelError(f"{where}: its tokenizer has neither a padding nor an end token; name one in its config")
    return str(token)


def _names(ids: Sequence[int], tokenizer: Any, where: str) -> list[str]:
    names = tokenizer.convert_ids_to_tokens(list(ids))
    if tokenizer.unk_token is not None and tokenizer.unk_token in names:
        raise ModelError(f"{where}: its tokenizer does not know all of the template, it gives {names}")
    return [str(name) for name in names]
