"""Templates: a family's entries become the tokenizer's tokens, and are compared with the tokenizer's own encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.decide import Decision
from cascaderank.export.decoders import decoder_form
from cascaderank.export.decoders.form import pad_token
from cascaderank.export.families import segments_of
from cascaderank.export.source import Source

_QUERY, _DOCUMENT = "a short query", "a document with other words"


@dataclass(frozen=True, slots=True)
class Form:
    """The ``[input]`` templates of a manifest, one segment per entry, and the tokens they need.

    ``skip_tokens`` are the decision's that its tokenizer has.
    """

    pair: tuple[str, ...]
    query: tuple[str, ...]
    document: tuple[str, ...]
    segments: tuple[int, ...]
    pad_token: str
    mask_token: str
    skip_tokens: tuple[str, ...]


def make_form(source: Source, decision: Decision, tokenizer: Any) -> Form:
    """``tokenizer`` is a fast tokenizer of transformers.

    Raises ``ModelError`` where it lacks a token, or encodes a text in another way than the family's template does.
    """
    if decision.template is not None:
        row = decoder_form(decision.template, tokenizer, source.name)
        return Form(row, (), (), (), pad_token(tokenizer, source.name), "", ())
    family = decision.family
    roles = [role for role in ("cls", "sep") if role in (*family.pair, *family.single)]
    tokens: dict[str, str] = {role: _token(source, tokenizer, role) for role in roles}
    pair: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    document: tuple[str, ...] = ()
    single = tuple(tokens.get(entry, entry) for entry in family.single)
    if not single:
        single = own_template(source, tokenizer)
        if single[-1] == "$text" and "last_token" in (decision.pooling, decision.graph_pooling):
            raise ModelError(
                f"{source.name}: is pooled at the last token, but its tokenizer puts no end token after a text; use "
                "the tokenizer files the model was published with (add_eos_token in tokenizer_config.json, or "
                "post_processor in tokenizer.json)"
            )
    if decision.kind == "cross_encoder":
        pair = tuple(tokens.get(entry, entry) for entry in family.pair)
        segments = segments_of(family, source.config, family.pair)
        _compare(source, tokenizer, pair, {"$query": _QUERY, "$document": _DOCUMENT})
    else:
        segments = segments_of(family, source.config, family.single)
        _compare(source, tokenizer, single, {"$text": _DOCUMENT})
        query = _marked(source, tokenizer, single, decision.query_marker)
        document = _marked(source, tokenizer, single, decision.document_marker)
        if len(query) != len(document):
            raise ModelError(f"{source.name}: only one of query_prefix and document_prefix is a marker; name both")
        segments = (0,) * len(query)
    mask = _token(source, tokenizer, "mask") if decision.query_length else ""
    # Padding is masked, so any token serves where there is none of that role.
    pad = str(tokenizer.pad_token or next(entry for entry in reversed(single) if entry != "$text"))
    vocabulary = tokenizer.get_vocab() if decision.skip_tokens else {}
    skip = tuple(token for token in decision.skip_tokens if token in vocabulary)
    return Form(pair, query, document, segments, pad, mask, skip)


def own_template(source: Source, tokenizer: Any) -> tuple[str, ...]:
    """The template of a text as the tokenizer's own post-processor makes it.

    Raises ``ModelError`` where its special tokens are not simply around the text, or there are none.
    """
    found = set()
    for text in (_QUERY, _DOCUMENT):
        inner = tokenizer(text, add_special_tokens=False)["input_ids"]
        whole = tokenizer(text)["input_ids"]
        starts = [place for place in range(len(whole)) if whole[place : place + len(inner)] == inner]
        if len(starts) != 1 or len(whole) == len(inner):
            raise ModelError(
                f"{source.name}: its tokenizer puts {len(whole) - len(inner)} special tokens around a text; a template "
                "needs one at least, before or after it"
            )
        before, after = whole[: starts[0]], whole[starts[0] + len(inner) :]
        names = tokenizer.convert_ids_to_tokens
        found.add((*names(before), "$text", *names(after)))
    if len(found) != 1:
        raise ModelError(f"{source.name}: its tokenizer has no one template for a text: {sorted(found)}")
    return found.pop()


def _token(source: Source, tokenizer: Any, role: str) -> str:
    token = getattr(tokenizer, f"{role}_token", None)
    if token is None:
        raise ModelError(f"{source.name}: its tokenizer has no {role} token, which models of this family need")
    return str(token)


def _marked(source: Source, tokenizer: Any, single: tuple[str, ...], marker: str) -> tuple[str, ...]:
    if not marker:
        return single
    if marker not in tokenizer.get_vocab():
        raise ModelError(f"{source.name}: the marker {marker!r} is not a token of its tokenizer")
    return (single[0], marker, *single[1:])


def _compare(source: Source, tokenizer: Any, template: tuple[str, ...], texts: dict[str, str]) -> None:
    spliced: list[int] = []
    for entry in template:
        if entry.startswith("$"):
            spliced += tokenizer(texts[entry], add_special_tokens=False)["input_ids"]
        else:
            spliced.append(tokenizer.convert_tokens_to_ids(entry))
    own = tokenizer(*texts.values())["input_ids"]
    if spliced != own:
        raise ModelError(
            f"{source.name}: the family's template {' '.join(template)} gives tokens "
            f"{tokenizer.convert_ids_to_tokens(spliced)}, its own tokenizer {tokenizer.convert_ids_to_tokens(own)}"
        )
