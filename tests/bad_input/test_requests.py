"""Requests that are wrong or strange: refused by name and index, or ranked like any other; never a crash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, CascadeError, Document, InputError, ScoreError, Stage, Store, StoreError
from cascaderank.kernels import Ragged
from cascaderank.store import Part
from graphs import make_nan_encoder
from tiny import make_cross_encoder

KINDS = ["ce", "ce2", "bi", "late"]


@pytest.fixture(scope="module", params=KINDS)
def cascade(request: pytest.FixtureRequest, models: Path) -> Iterator[Cascade]:
    with Cascade([Stage(models / request.param, keep=5)]) as made:
        yield made


@pytest.fixture(scope="module")
def plain(models: Path) -> Iterator[Cascade]:
    with Cascade([Stage(models / "ce", keep=5)]) as made:
        yield made


# Wrong types


@pytest.mark.parametrize("query", [None, 3, b"red", ["red"], 1.5, object()])
def test_a_query_that_is_no_string(plain: Cascade, query: object) -> None:
    with pytest.raises(InputError, match=f"query: expected a string, got {type(query).__name__}"):
        plain.rank(query, ["red"])


@pytest.mark.parametrize("documents", ["red", b"red", 3, {"text": "red"}, {"red"}, iter(["red"]), np.array(["red"])])
def test_documents_that_are_no_list(plain: Cascade, documents: object) -> None:
    with pytest.raises(InputError, match=f"documents: expected a list .* got {type(documents).__name__}"):
        plain.rank("red", documents)
    with pytest.raises(InputError, match=f"documents: expected a list .* got {type(documents).__name__}"):
        plain.encode(documents)


@pytest.mark.parametrize(
    ("documents", "match"),
    [
        ([3], r"documents\[0\]: expected a dict with 'text' or a Document.* got int"),
        (["red", None], r"documents\[1\]: expected a string, got NoneType"),
        (["red", b"red"], r"documents\[1\]: expected a string, got bytes"),
        (["red", {"text": "red"}], r"documents\[1\]: expected a string, got dict"),
        ([{"text": "red"}, "red"], r"documents\[1\]: expected a dict with 'text' or a Document.* got str"),
        ([{"id": "a"}], r"documents\[0\]: no 'text'; has \['id'\]"),
        ([{"id": "a", "text": 5}], r"documents\[0\] \(id 'a'\): expected a string, got int"),
        ([{"id": 7, "text": "red"}], r"documents\[0\]: id must be a string, got int; use str\(id\)"),
        ([{"id": None, "text": "red"}], r"documents\[0\]: id must be a string, got NoneType"),
        ([{"id": "a", "text": "red", "score": "1"}], r"documents\[0\] \(id 'a'\): score must be a number, got str"),
        ([{"id": "a", "text": "red", "score": True}], r"documents\[0\] \(id 'a'\): score must be a number, got bool"),
        ([Document("a", "red", float("nan"))], r"scores\[0\]: nan is not a finite"),
        ([Document("a", "red", float("inf"))], r"scores\[0\]: inf is not a finite"),
        ([Document("a", "red", 1.0), Document("b", "red")], r"documents\[1\] \(id 'b'\): no first-pass score"),
        ([Document("a", "red"), Document("b", "red", 1.0)], r"documents\[0\] \(id 'a'\): no first-pass score"),
    ],
)
def test_a_document_of_the_wrong_form_is_named(plain: Cascade, documents: list, match: str) -> None:
    with pytest.raises(InputError, match=match):
        plain.rank("red", documents)


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        ([1.0], r"scores: shape \(1,\) for 2 documents"),
        ([1.0, 2.0, 3.0], r"scores: shape \(3,\) for 2 documents"),
        ([[1.0], [2.0]], r"scores: shape \(2, 1\) for 2 documents"),
        ([1.0, float("nan")], r"scores\[1\]: nan"),
        ([float("-inf"), 1.0], r"scores\[0\]: -inf"),
        ([1.0, 1e300], r"scores\[1\]: inf"),  # not a float32
        (["high", "low"], r"scores: expected numbers"),
        ([None, 1.0], r"scores"),
        (1.0, r"scores: shape \(1,\) for 2 documents"),
    ],
)
def test_first_pass_scores_of_the_wrong_form(plain: Cascade, scores: object, match: str) -> None:
    with pytest.raises(InputError, match=match):
        plain.rank("red", ["red", "cat"], scores=scores)


@pytest.mark.parametrize("top_n", [0, -1, 1.0, "3", True])
def test_a_top_n_that_is_no_count(plain: Cascade, top_n: object) -> None:
    with pytest.raises(InputError, match=r"top_n is .* expected a positive integer"):
        plain.rank("red", ["red"], top_n=top_n)


@pytest.mark.parametrize("deadline", [0, -5, float("nan"), float("inf"), "100", True])
def test_a_deadline_that_is_no_time(plain: Cascade, deadline: object) -> None:
    with pytest.raises(InputError, match="deadline_ms is"):
        plain.rank("red", ["red"], deadline_ms=deadline)


def test_documents_and_ids_together_or_neither(plain: Cascade) -> None:
    store = plain.encode([Document("a", "red")])
    with pytest.raises(InputError, match="either documents or ids"):
        plain.rank("red", ["red"], ids=["a"], store=store)
    with pytest.raises(InputError, match="either documents or ids"):
        plain.rank("red")


# Ids and stores


def test_repeated_ids(plain: Cascade) -> None:
    documents = [Document("a", "red"), Document("b", "cat"), Document("a", "dog")]
    with pytest.raises(InputError, match=r"documents\[2\]: id 'a' repeats documents\[0\]"):
        plain.rank("red", documents)
    with pytest.raises(InputError, match=r"id 'a' repeats"):
        plain.encode(documents)
    store = plain.encode(documents[:2])
    with pytest.raises(InputError, match=r"id 'b' repeats"):
        plain.rank("red", ids=["b", "a", "b"], store=store)


def test_an_id_given_twice_by_counting_and_by_hand(plain: Cascade) -> None:
    """Documents without an id are named by their index, which another one's own id may be."""
    words = r"documents\[1\]: no id, and its place, '1', .* id of documents\[0\]; give every document an id, or none"
    with pytest.raises(InputError, match=words):
        plain.rank("red", [{"id": "1", "text": "red"}, {"text": "cat"}])


@pytest.mark.parametrize("ids", ["abc", b"abc", 3, {"a"}])
def test_ids_that_are_no_list(plain: Cascade, ids: object) -> None:
    with pytest.raises(InputError, match="ids: expected a list of strings"):
        plain.rank("red", ids=ids, store=plain.encode([Document("a", "red")]))


def test_an_id_that_is_no_string(plain: Cascade) -> None:
    with pytest.raises(InputError, match=r"ids\[1\]: expected a string, got int"):
        plain.rank("red", ids=["a", 1], store=plain.encode([Document("a", "red")]))


def test_ids_without_a_store(plain: Cascade) -> None:
    with pytest.raises(InputError, match="pass store="):
        plain.rank("red", ids=["a"])


def test_an_id_the_store_does_not_know(plain: Cascade) -> None:
    with pytest.raises(StoreError, match=r"ids\[1\]: 'z' is not in the store of 1 document$"):
        plain.rank("red", ids=["a", "z"], store=plain.encode([Document("a", "red")]))


def test_a_text_that_changed_since_it_was_stored(plain: Cascade) -> None:
    store = plain.encode([Document("a", "red"), Document("b", "cat")])
    with pytest.raises(StoreError, match=r"documents\[1\] \(id 'b'\): its text is not the one"):
        plain.rank("red", [Document("a", "red"), Document("b", "dog")], store=store)


def test_a_store_needs_ids(plain: Cascade) -> None:
    store = plain.encode([Document("a", "red")])
    with pytest.raises(StoreError, match="the documents have no ids"):
        plain.rank("red", ["red"], store=store)
    with pytest.raises(InputError, match="documents need ids"):
        plain.encode(["red"])


def test_a_store_of_another_kind(plain: Cascade) -> None:
    with pytest.raises(CascadeError, match="store"):
        plain.rank("red", [Document("a", "red")], store={"a": "red"})
    assert isinstance(plain.encode([]), Store)


# Texts


@pytest.mark.parametrize("query", ["", " ", "\n\t ", "\u2003"])
def test_an_empty_query(cascade: Cascade, query: str) -> None:
    with pytest.raises(InputError, match="query: empty"):
        cascade.rank(query, ["red"])


def test_a_query_of_nothing_the_tokenizer_keeps(cascade: Cascade) -> None:
    """Control characters are text to the caller and nothing to BERT's normaliser: no tokens, and still a ranking."""
    ranking = cascade.rank("\x00\x01", ["red", "", "\x00"])
    assert sorted(ranking.order.tolist()) == [0, 1, 2]


@pytest.mark.parametrize("text", ["\ud800", "red \udfff cat", "\ud83d red"])
def test_a_lone_surrogate(plain: Cascade, text: str) -> None:
    with pytest.raises(InputError, match=r"query: lone surrogate U\+D[89A-F]"):
        plain.rank(text, ["red"])
    with pytest.raises(InputError, match=r"documents\[1\]: lone surrogate U\+D.* at character \d; .*repair"):
        plain.rank("red", ["cat", text])
    with pytest.raises(InputError, match=r"documents\[0\] \(id 'a'\): lone surrogate"):
        plain.rank("red", [Document("a", text)])
    with pytest.raises(InputError, match=r"documents\[0\] \(id 'a'\): lone surrogate"):
        plain.encode([Document("a", text)])


def test_a_lone_surrogate_in_an_id(plain: Cascade, tmp_path: Path) -> None:
    """An id is only ever compared, so any string will do, and a store can be written all the same."""
    documents = [Document("\ud800", "red"), Document("b", "cat")]
    assert [hit.id for hit in plain.rank("red", documents)] == ["\ud800", "b"]
    plain.encode(documents).save(tmp_path / "store")
    assert Store.open(tmp_path / "store").ids == ("\ud800", "b")


def test_a_pair_of_surrogates_is_a_character(plain: Cascade) -> None:
    assert len(plain.rank("red \U0001f600", ["\U0001f600 red", "cat"])) == 2


def test_nul(cascade: Cascade) -> None:
    """NUL is a character like any other: nothing is cut at it."""
    documents = ["red\x00cat", "red \x00 cat", "\x00", "red cat"]
    ranking = cascade.rank("red\x00 cat", documents)
    scores = {hit.index: hit.score for hit in ranking}
    assert scores[1] == scores[3]
    assert len(ranking) == 4


def test_special_tokens_in_a_text_are_characters(tmp_path: Path, models: Path) -> None:
    """ "[SEP]" becomes "[", "sep", "]": three words that count, and no separator that would move the segments."""
    with Cascade([Stage(models / "ce", keep=5)]) as cascade:
        scores = {hit.index: hit.score for hit in cascade.rank("red sep", ["[SEP] red", "[CLS]", "[PAD] red", "</s>"])}
        assert scores == {0: 2.0, 1: 0.0, 2: 1.0, 3: 0.0}
        assert cascade.rank("red [SEP] cat", ["cat"])[0].score == 1.0  # not the start of the document
        assert cascade.rank("[SEP]", ["[SEP]"])[0].score == 3.0
    with Cascade([Stage(make_cross_encoder(tmp_path / "m", graph={"nan_word": "[MASK]"}), keep=5)]) as cascade:
        assert cascade.rank("red", ["[MASK] red"])[0].score == 1.0  # a real [MASK] would be NaN


@pytest.mark.parametrize("text", ["<|im_end|>", "<|endoftext|>", "<s>", "[UNK]", "##ed", "<pad><pad>"])
def test_markup_of_other_models_is_text(cascade: Cascade, text: str) -> None:
    assert len(cascade.rank(f"red {text}", [text, f"red {text}", "red"])) == 3


def test_a_document_of_a_megabyte(cascade: Cascade) -> None:
    """Cut to the window, counted, and scored by its beginning."""
    ranking = cascade.rank("red", ["red " * 262_144, "red", "cat " * 262_144])
    assert len(ranking) == 3
    trace = ranking.trace.stages[0]
    assert trace.truncated_documents == 2
    assert trace.truncated_tokens > 500_000


def test_a_megabyte_without_a_space(cascade: Cascade) -> None:
    assert len(cascade.rank("red", ["r" * 1_000_000, "red"])) == 2


# Too much


def test_a_hundred_thousand_candidates(plain: Cascade) -> None:
    with pytest.raises(InputError, match=r"100000 candidates, at most 10000 .* max_candidates"):
        plain.rank("red", ["red"] * 100_000)
    with pytest.raises(InputError, match="100000 candidates"):
        plain.rank("red", ids=[str(i) for i in range(100_000)], store=plain.encode([]))


def test_a_hundred_thousand_candidates_where_they_are_allowed(models: Path) -> None:
    """Raising the limit is enough: vectors from a store, a hundred thousand of them."""
    with Cascade([Stage(models / "bi", keep=10), Stage(models / "ce", keep=3)], max_candidates=100_000) as cascade:
        one = cascade.encode_part([Document("0", "red cat"), Document("1", "dog")])
        ((digest, matrix),) = one.vectors.items()
        ((key, tokens),) = one.tokens.items()
        count = 100_000
        ids = [str(index) for index in range(count)]
        lengths = np.tile(np.diff(tokens.cu_seqlens), count // 2)
        texts = Ragged(np.tile(tokens.ids, count // 2), np.concatenate([[0], lengths.cumsum()]))
        sums, vectors = np.tile(one.checksums, count // 2), np.tile(matrix, (count // 2, 1))
        many = Store.of(cascade.store_schema(), [Part(ids, sums, {key: texts}, {digest: vectors}, {})])
        ranking = cascade.rank("red cat", ids=many.ids, store=many, top_n=4)
    assert [hit.index for hit in ranking] == [0, 2, 4, 6]
    assert [hit.stage for hit in ranking] == ["ce"] * 4


def test_a_query_longer_than_the_window(cascade: Cascade) -> None:
    with pytest.raises(InputError, match=r"(?s)query: 40 tokens.*at most \d+ .*max_length 32.*truncate_query"):
        cascade.rank("red " * 40, ["red"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_longer_than_the_window_is_cut_when_asked(models: Path, kind: str) -> None:
    with Cascade([Stage(models / kind, keep=5)], truncate_query=True) as cascade:
        ranking = cascade.rank("red " * 40, ["red", "cat red", ""])
        trace = ranking.trace.stages[0]
        fits = cascade.rank("red " * 20, ["red"]).trace.stages[0]
    assert len(ranking) == 3
    assert trace.truncated_query_tokens > 0
    assert fits.truncated_query_tokens == 0


def test_the_longest_query_that_fits_fits(models: Path) -> None:
    """A window of 32 holds three special tokens, 28 of the query and one of the document."""
    with Cascade([Stage(models / "ce", keep=5)]) as cascade:
        ranking = cascade.rank("red " * 28, ["red cat"])
        assert ranking[0].score == 28.0
        assert ranking.trace.stages[0].truncated_documents == 1
        with pytest.raises(InputError, match="query: 29 tokens"):
            cascade.rank("red " * 29, ["red"])


def test_a_query_too_long_for_a_later_stage_fails_before_the_first(models: Path, tmp_path: Path) -> None:
    short = make_cross_encoder(tmp_path / "short", max_length=8)
    with (
        Cascade([Stage(models / "bi", keep=5), Stage(short, keep=2)]) as cascade,
        pytest.raises(InputError, match="stage 'short'"),
    ):
        cascade.rank("red " * 6, ["red"])


# Scores that are none


def test_a_nan_from_a_cross_encoder_names_stage_and_document(tmp_path: Path, models: Path) -> None:
    folder = make_cross_encoder(tmp_path / "sick", graph={"nan_word": "fish"})
    with Cascade([Stage(models / "ce", keep=3), Stage(folder, keep=2)]) as cascade:
        assert len(cascade.rank("red", ["red", "red cat", "dog"])) == 3
        with pytest.raises(ScoreError, match=r"(?s)stage 'sick'.*documents\[1\] \(id 'b'\).*nan"):
            cascade.rank("red", [Document("a", "red"), Document("b", "fish")])
        assert len(cascade.rank("red", ["red", "dog"])) == 2  # the next request is not affected


@pytest.mark.parametrize("kind", ["bi_encoder", "late_interaction"])
def test_a_nan_from_an_encoder_names_stage_and_document(tmp_path: Path, kind: str) -> None:
    with Cascade([Stage(make_nan_encoder(tmp_path / "sick", kind, "fish"), keep=3)]) as cascade:
        documents = [Document("a", "red"), Document("b", "dog fish"), Document("c", "cat")]
        with pytest.raises(ScoreError, match=r"(?s)'sick'.*documents\[1\] \(id 'b'\)"):
            cascade.rank("red", documents)
        with pytest.raises(ScoreError, match=r"(?s)'sick'.*documents\[1\] \(id 'b'\)"):
            cascade.encode(documents)
        with pytest.raises(ScoreError, match=r"(?s)'sick'.*query"):
            cascade.rank("fish", [documents[0]])
        assert len(cascade.rank("red", [documents[0], documents[2]])) == 2
