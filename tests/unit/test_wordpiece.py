"""Which tokenizer.json is encoded natively, and why another one is not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cascaderank import InputError, ModelError
from cascaderank.store.columns import id_dtype
from cascaderank.tokenizer import TextTokenizer
from cascaderank.wordpiece import Unsupported, read_wordpiece
from tiny import VOCABULARY, ids, write_tokenizer

File = dict[str, Any]
SEQUENCE, CLS = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
SPECIAL_CLS = {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}


def template(*single: object) -> File:
    return {"type": "TemplateProcessing", "single": list(single), "pair": [], "special_tokens": SPECIAL_CLS}


def load(folder: Path, change: Callable[[File], object] = lambda file: None) -> TextTokenizer:
    path = folder / "tokenizer.json"
    write_tokenizer(path)
    file = json.loads(path.read_text(encoding="utf-8"))
    change(file)
    path.write_text(json.dumps(file), encoding="utf-8")
    return TextTokenizer(path, "digest")


def test_a_wordpiece_file_is_encoded_natively(tmp_path: Path) -> None:
    tokenizer = load(tmp_path)
    assert tokenizer.native
    assert tokenizer.description == "native WordPiece"
    assert TextTokenizer(tmp_path / "tokenizer.json", "digest", native=False).description.startswith(
        "tokenizers library"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(post_processor=template(CLS, SEQUENCE)),
        lambda file: file.update(post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}),
        lambda file: file.update(truncation=None, padding=None, decoder=None),
        lambda file: file.update(added_tokens=[]),
        lambda file: file["normalizer"].update(strip_accents=True, lowercase=False),
    ],
)
def test_what_changes_no_ids_or_is_supported_stays_native(tmp_path: Path, change: Callable[[File], object]) -> None:
    tokenizer = load(tmp_path, change)
    assert tokenizer.native, tokenizer.description
    assert tokenizer.encode("red, cat").tolist() == ids("red , cat")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda file: file.update(normalizer=None), "no normalizer"),
        (lambda file: file.update(normalizer={"type": "Lowercase"}), "normalizer is 'Lowercase', not 'BertNormalizer'"),
        (lambda file: file.update(pre_tokenizer={"type": "Whitespace"}), "pre_tokenizer is 'Whitespace'"),
        (lambda file: file.update(post_processor=template(SEQUENCE, SEQUENCE)), "its template repeats the text"),
        (lambda file: file.update(post_processor={"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                                                  "use_regex": True}), "post_processor is 'ByteLevel'"),
        (lambda file: file["added_tokens"][5].update(special=False), r"added token '\[Q\]' is not special"),
        (lambda file: file["model"]["vocab"].update({"": 26}), "an empty token"),
        (lambda file: file["model"]["vocab"].update({"far": 1 << 24}), "an id out of range"),
        (lambda file: file["model"].update(max_input_chars_per_word=0), "no positive integer"),
        (lambda file: file["model"].update(unk_token="[NONE]"), "unk_token is not in the vocabulary"),
        (lambda file: file["added_tokens"].append({**file["added_tokens"][0], "content": "[NEW]", "id": 26}),
         r"added token '\[NEW\]' is not in the model's vocabulary"),
    ],
)  # fmt: skip
def test_other_files_stay_with_the_library(tmp_path: Path, change: Callable[[File], object], why: str) -> None:
    tokenizer = load(tmp_path, change)
    assert not tokenizer.native
    assert tokenizer.description.startswith("tokenizers library (")
    assert why.replace("\\", "") in tokenizer.description


def test_a_token_that_is_matched_inside_texts_is_matched(tmp_path: Path) -> None:
    """Why such a file is the library's: this token is found before the text is split."""
    tokenizer = load(tmp_path, lambda file: file["added_tokens"][5].update(special=False))
    assert tokenizer.encode("red[Q]cat").tolist() == [VOCABULARY["red"], VOCABULARY["[Q]"], VOCABULARY["cat"]]


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["model"].pop("unk_token"),
        lambda file: file["model"]["vocab"].update(red="one"),
        lambda file: file["model"]["vocab"].update(red=True),
        lambda file: file["normalizer"].update(lowercase="yes"),
        lambda file: file.update(added_tokens=[{"id": 0}]),
        lambda file: file.update(version="2.0"),
    ],
)
def test_a_malformed_file_is_refused_as_the_library_refuses_it(
    tmp_path: Path, change: Callable[[File], object]
) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json: not a tokenizer file of the tokenizers library"):
        load(tmp_path, change)


@pytest.mark.parametrize("native", [True, False])
def test_what_has_no_utf8_form_is_refused(tmp_path: Path, native: bool) -> None:
    load(tmp_path)
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json", "digest", native=native)
    for wrong in ("\ud800", "red \udfff cat", 3, None, b"red"):
        with pytest.raises(InputError, match="strings only"):
            tokenizer.encode_many(["red", wrong])
        with pytest.raises(InputError, match="strings only"):
            tokenizer.encode(wrong)


def test_the_native_one_names_the_text(tmp_path: Path) -> None:
    tokenizer = load(tmp_path)
    with pytest.raises(InputError, match=r"texts\[1\]: expected a string, got int"):
        tokenizer.encode_many(["red", 3])
    with pytest.raises(InputError, match=r"texts\[2\]: a lone surrogate"):
        tokenizer.encode_many(["red", "cat", "\ud800"])


VALUES: list[object] = [None, True, 3, -1, 1.5, "x", "", [], ["x"], [[]], {}, {"x": 1}, {"x": None}]


def changed(node: Any) -> Iterator[tuple[str, Callable[[object], None]]]:
    """A way to replace each value inside a JSON document, lists and objects included; of long ones the first few."""
    entries = list(node.items() if isinstance(node, dict) else enumerate(node))[:3] if node else []
    for key, value in entries:
        yield str(key), lambda new, key=key: node.__setitem__(key, new)  # type: ignore[misc]
        if isinstance(value, (dict, list)):
            yield from ((f"{key}.{path}", change) for path, change in changed(value))


def test_a_malformed_file_is_never_more_than_unsupported(tmp_path: Path) -> None:
    """Any value in any place: read natively, or left to the library, which says what is wrong."""
    path = tmp_path / "tokenizer.json"
    write_tokenizer(path)
    whole = json.loads(path.read_text(encoding="utf-8"))
    whole["post_processor"] = template(CLS, SEQUENCE)
    whole["model"]["vocab"] = {"[UNK]": 1, **whole["model"]["vocab"]}
    for section in ("normalizer", "pre_tokenizer", "model"):  # keys whose order hides them behind the first three
        whole[section] = dict(reversed(whole[section].items()))
    whole = {key: whole[key] for key in ("added_tokens", "post_processor", "model")} | whole
    seen = set[str]()
    for number in range(len(list(changed(whole)))):
        for value in VALUES:
            file = json.loads(json.dumps(whole))
            place, change = list(changed(file))[number]
            change(value)
            seen.add(place)
            path.write_text(json.dumps(file), encoding="utf-8")
            with contextlib.suppress(Unsupported):
                read_wordpiece(path)
    assert {"added_tokens.0", "added_tokens.0.content", "post_processor.single.1.Sequence", "model.vocab"} <= seen


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.update(added_tokens=["x"]),
        lambda file: file.update(post_processor=template({"Sequence": None})),
        lambda file: file.update(post_processor=template(3)),
        lambda file: file["model"].update(unk_token=["x"]),
    ],
)
def test_what_is_malformed_inside_is_said_by_the_library(tmp_path: Path, change: Callable[[File], object]) -> None:
    with pytest.raises(ModelError, match="not a tokenizer file of the tokenizers library"):
        load(tmp_path, change)


@pytest.mark.parametrize("native", [True, False])
def test_ids_with_holes_count_to_the_largest(tmp_path: Path, native: bool) -> None:
    """What is chosen by the size of the vocabulary (a store's dtype, a model's embeddings) has to hold every id."""
    load(tmp_path, lambda file: file["model"]["vocab"].update(far=70_000))
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json", "digest", native=native)
    assert tokenizer.native == native
    assert tokenizer.encode("far").tolist() == [70_000]
    assert tokenizer.vocab_size == 70_001
    assert id_dtype(tokenizer.vocab_size) == "int32"
