"""tokenizer.json -> the native WordPiece tokenizer, where it supports the file fully; else the reason why not.

Supported is what decides a text's ids without special tokens and truncation: BertNormalizer, BertPreTokenizer,
WordPiece, and added tokens that are all special and in the vocabulary (a text never contains them: text is text).
Anything else, an unknown key included, is left to the tokenizers library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cascaderank.kernels import MAX_TOKEN_ID, WordPiece

_NORMALIZER = {"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"}
_MODEL = {"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"}


class Unsupported(Exception):
    """The file is one for the library; the message says why. ``tokenizer`` catches it, callers never see it."""


def read_wordpiece(path: Path) -> tuple[WordPiece, int]:
    """The tokenizer of a ``tokenizer.json``, and the number that all its ids are below.

    Raises ``Unsupported`` for a file of another kind, a malformed one included: what is wrong with it is for the
    library to say, which reads it next.
    """
    try:
        # The library takes UTF-8 and nothing else; a lone surrogate in an escape has no such form.
        file = json.loads(path.read_bytes().decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise Unsupported("not JSON") from None
    _need(isinstance(file, dict) and file.get("version") == "1.0", "not a file of version 1.0")
    normalizer = _section(file, "normalizer", "BertNormalizer", _NORMALIZER)
    _section(file, "pre_tokenizer", "BertPreTokenizer", {"type"})
    model = _section(file, "model", "WordPiece", _MODEL)
    flags = {key: normalizer[key] for key in ("clean_text", "handle_chinese_chars", "lowercase")}
    accents = normalizer["strip_accents"]
    _need(all(isinstance(flag, bool) for flag in flags.values()), "normalizer: a flag is neither true nor false")
    _need(accents is None or isinstance(accents, bool), "normalizer: strip_accents is neither true, false nor null")
    _check_post_processor(file.get("post_processor"))
    vocabulary = _vocabulary(model)
    _check_added_tokens(file.get("added_tokens"), vocabulary)
    tokenizer = _make(
        vocabulary,
        unknown=vocabulary[model["unk_token"]],
        continuation=model["continuing_subword_prefix"],
        max_characters=model["max_input_chars_per_word"],
        # null is the rule of BERT's first tokenizer: accents go where case goes.
        strip_accents=flags["lowercase"] if accents is None else accents,
        **flags,
    )
    return tokenizer, max(vocabulary.values()) + 1


def _need(holds: bool, reason: str) -> None:
    if not holds:
        raise Unsupported(reason)


def _section(file: Mapping[str, Any], key: str, kind: str, keys: set[str]) -> Mapping[str, Any]:
    section = file.get(key)
    _need(isinstance(section, dict), f"no {key}")
    assert isinstance(section, dict)  # for mypy; _need has raised otherwise
    _need(section.get("type") == kind, f"{key} is {section.get('type')!r}, not {kind!r}")
    _need(set(section) == keys, f"{key}: other keys than {', '.join(sorted(keys))}")
    return section


def _check_post_processor(section: Any) -> None:
    """One that puts special tokens around the text, which are not asked for, and leaves the text's tokens alone."""
    if section is None:
        return
    kind = section.get("type") if isinstance(section, dict) else None
    if kind == "TemplateProcessing":
        parts = section.get("single")
        _need(isinstance(parts, list) and all(isinstance(part, dict) for part in parts), "post_processor: no template")
        texts = [part["Sequence"] for part in parts if "Sequence" in part]
        _need(
            len(texts) == 1 and isinstance(texts[0], dict) and texts[0].get("id") == "A",
            "post_processor: its template repeats the text",
        )
    else:
        _need(kind == "BertProcessing", f"post_processor is {kind!r}")


def _vocabulary(model: Mapping[str, Any]) -> dict[str, int]:
    vocabulary, limit = model["vocab"], model["max_input_chars_per_word"]
    _need(isinstance(vocabulary, dict) and bool(vocabulary), "model: no vocabulary")
    assert isinstance(vocabulary, dict)
    _need(set(map(type, vocabulary.values())) == {int}, "model: an id that is no integer")
    _need(0 <= min(vocabulary.values()) <= max(vocabulary.values()) <= MAX_TOKEN_ID, "model: an id out of range")
    _need("" not in vocabulary, "model: an empty token")
    unknown = model["unk_token"]
    _need(isinstance(unknown, str) and unknown in vocabulary, "model: unk_token is not in the vocabulary")
    _need(isinstance(model["continuing_subword_prefix"], str), "model: continuing_subword_prefix is no string")
    _need(type(limit) is int and 1 <= limit < 1 << 62, "model: max_input_chars_per_word is no positive integer")
    return vocabulary


def _check_added_tokens(tokens: Any, vocabulary: Mapping[str, int]) -> None:
    _need(isinstance(tokens, list), "no added_tokens")
    for token in tokens:
        content = token.get("content") if isinstance(token, dict) else None
        _need(isinstance(content, str), "added_tokens: one without a content")
        assert isinstance(content, str)  # for mypy; _need has raised otherwise
        _need(token.get("special") is True, f"added token {content!r} is not special: it is matched inside texts")
        _need(vocabulary.get(content) == token.get("id"), f"added token {content!r} is not in the model's vocabulary")


def _make(vocabulary: Mapping[str, int], **rule: Any) -> WordPiece:
    try:
        pieces = [token.encode("utf-8") for token in vocabulary]
    except UnicodeEncodeError:
        raise Unsupported("model: a token with a lone surrogate") from None
    cu_pieces = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, pieces), np.int64, len(pieces)), out=cu_pieces[1:])
    ids = np.fromiter(vocabulary.values(), np.int64, len(pieces))
    return WordPiece(b"".join(pieces), cu_pieces, ids, **rule)
