"""Packing against the slow reference: row lengths, plans, tensors, and the way home."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import reference
from cascaderank import kernels
from cascaderank._core import fill_batches, plan_batches, sequence_lengths  # noqa: TID251  the kernels are under test

Q, D = reference.QUERY, reference.DOCUMENT
FORMS = [
    ([101, Q, 102, D, 102], [0, 0, 0, 1, 1]),  # BERT
    ([101, Q, 102, D, 102], []),  # ModernBERT
    ([0, Q, 2, 2, D, 2], []),  # RoBERTa, XLM-R
    ([101, D, 102], [0, 0, 0]),  # an encoder
    ([D], []),
    ([7, D, 8, Q, 9], [1, 0, 3, 2, 1]),  # the document first
]

tokens = st.integers(3, 60)
texts = st.lists(st.lists(tokens, max_size=20), min_size=1, max_size=8)


@dataclass
class Work:
    """A packing job in both forms: plain lists and arrays."""

    form: reference.Form
    query: list[int]
    documents: list[list[int]]
    rows: list[int]

    def template(self) -> kernels.Template:
        form = self.form
        return kernels.Template(list(form.parts), list(form.segments), form.pad, form.position_offset, form.max_length)

    def ragged(self) -> kernels.Ragged:
        return ragged(self.documents)

    def lengths(self) -> list[int]:
        return [reference.row_length(self.documents[row], len(self.query), self.form) for row in self.rows]


def ragged(lists: list[list[int]]) -> kernels.Ragged:
    offsets = np.cumsum([0, *(len(item) for item in lists)]).astype(np.int64)
    return kernels.Ragged(int64([token for item in lists for token in item]), offsets)


def int64(values: list[int]) -> np.ndarray:
    return np.array(values, np.int64)


@st.composite
def works(draw: st.DrawFn, room: int = 1) -> Work:
    parts, segments = draw(st.sampled_from(FORMS))
    query = draw(st.lists(tokens, max_size=6)) if Q in parts else []
    # A row needs a token: a template without special tokens cannot take an empty text.
    documents = draw(texts) if len(parts) > 1 else [[3, *text] for text in draw(texts)]
    rows = draw(st.lists(st.integers(0, len(documents) - 1), max_size=12))
    special = sum(1 for part in parts if part >= 0)
    window = special + len(query) + draw(st.integers(room, 24))
    return Work(reference.Form(parts, segments, draw(tokens), draw(st.integers(0, 3)), window), query, documents, rows)


rules = st.tuples(
    st.integers(1, 90), st.integers(1, 6), st.one_of(st.integers(1, 5), st.just(1 << 40)), st.sampled_from([1, 4, 7])
)


@given(works())
def test_lengths_and_truncation_equal_the_reference(work: Work) -> None:
    texts = work.ragged()
    out = np.empty(len(work.rows), np.int64)
    lost = sequence_lengths(texts.ids, texts.cu_seqlens, int64(work.rows), len(work.query), work.template(), out)
    expected = work.lengths()
    fixed = work.form.special() + len(work.query)
    losses = [len(work.documents[row]) - (length - fixed) for row, length in zip(work.rows, expected, strict=True)]
    assert out.tolist() == expected
    assert lost == (sum(loss > 0 for loss in losses), sum(losses))


@given(works(room=0), st.integers(0, 30))
def test_a_query_without_room_for_a_document_is_refused(work: Work, longer: int) -> None:
    assume(Q in work.form.parts)
    texts = work.ragged()
    out = np.empty(len(work.rows), np.int64)
    length = work.form.max_length - work.form.special() + longer
    with pytest.raises(ValueError, match="no room for a document"):
        sequence_lengths(texts.ids, texts.cu_seqlens, int64(work.rows), length, work.template(), out)


def test_a_query_for_a_template_without_one_is_refused() -> None:
    texts, form = ragged([[3]]), reference.Form([101, D, 102], [], 0, 0, 8)
    with pytest.raises(ValueError, match="template has no query"):
        kernels.plan(texts, int64([0]), 1, Work(form, [], [], []).template(), kernels.PlanRule(8, 8, 8))


@given(st.lists(st.integers(1, 30), max_size=24), rules, st.booleans())
def test_plans_equal_the_reference(lengths: list[int], rule: tuple[int, int, int, int], packed: bool) -> None:
    order, widths = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.int64)
    bounds = np.empty(len(lengths) + 1, np.int64)
    batches, size = plan_batches(int64(lengths), *rule, packed, order, bounds, widths)
    expected = reference.plan(lengths, *rule, packed)
    found = [(order[bounds[batch] : bounds[batch + 1]].tolist(), int(widths[batch])) for batch in range(batches)]
    assert found == expected
    if packed:
        assert size == sum(lengths)
    else:
        assert size == sum(len(rows) * width for rows, width in expected)


def test_a_row_without_tokens_is_refused() -> None:
    form = reference.Form([D], [], 0, 0, 8)
    with pytest.raises(ValueError, match="row of 0 tokens"):
        kernels.plan(ragged([[3], []]), int64([0, 1]), 0, Work(form, [], [], []).template(), kernels.PlanRule(8, 8, 8))


@given(st.lists(st.integers(1, 30), max_size=24), rules, st.booleans())
def test_plan_invariants(lengths: list[int], rule: tuple[int, int, int, int], packed: bool) -> None:
    budget, max_rows, window, multiple = rule
    order, widths = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.int64)
    bounds = np.empty(len(lengths) + 1, np.int64)
    batches, _ = plan_batches(int64(lengths), *rule, packed, order, bounds, widths)
    assert sorted(order.tolist()) == list(range(len(lengths)))  # every row exactly once
    assert bounds[0] == 0
    assert bounds[batches] == len(lengths)
    for batch in range(batches):
        rows = order[bounds[batch] : bounds[batch + 1]].tolist()
        width = int(widths[batch])
        assert 1 <= len(rows) <= max_rows
        assert width % multiple == 0
        assert width - multiple < max(lengths[row] for row in rows) <= width
        cost = sum(lengths[row] for row in rows) if packed else width * len(rows)
        assert cost <= budget or len(rows) == 1  # a row over the budget travels alone
        assert len({row // window for row in rows}) == 1  # windows keep the given order
    firsts = [min(order[bounds[batch] : bounds[batch + 1]]) // window for batch in range(batches)]
    assert firsts == sorted(firsts)


@given(works(), rules, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_tensors_equal_the_reference(
    work: Work, rule: tuple[int, int, int, int], wanted: tuple[bool, bool, bool]
) -> None:
    texts, form, rows = work.ragged(), work.template(), int64(work.rows)
    made = kernels.plan(texts, rows, len(work.query), form, kernels.PlanRule(*rule))
    roles = ["attention_mask", "token_type_ids", "position_ids"]
    kept = [role for role, want in zip(roles, wanted, strict=True) if want]
    if not work.form.segments and "token_type_ids" in kept:
        kept.remove("token_type_ids")
    tensors = {role: np.full(made.tokens, -99, np.int64) for role in ["input_ids", *kept]}
    kernels.pack(made, int64(work.query), texts, rows, form, tensors)

    expected: dict[str, list[int]] = {"input_ids": [], "attention_mask": [], "token_type_ids": [], "position_ids": []}
    for positions, width in reference.plan(work.lengths(), *rule, False):
        for position in positions:
            row = reference.make_row(work.query, work.documents[work.rows[position]], work.form, width)
            expected["input_ids"] += row.ids
            expected["attention_mask"] += row.mask
            expected["token_type_ids"] += row.types
            expected["position_ids"] += row.positions
    for role, tensor in tensors.items():
        assert tensor.tolist() == expected[role], role


@given(works(), rules)
def test_the_template_survives_truncation(work: Work, rule: tuple[int, int, int, int]) -> None:
    """However long a document, query and special tokens are whole and in place; only the document loses its end."""
    texts, form, rows = work.ragged(), work.template(), int64(work.rows)
    made = kernels.plan(texts, rows, len(work.query), form, kernels.PlanRule(*rule))
    tensors = {role: np.empty(made.tokens, np.int64) for role in ("input_ids", "attention_mask")}
    kernels.pack(made, int64(work.query), texts, rows, form, tensors)
    document_at = list(work.form.parts).index(D)
    before = [t for part in work.form.parts[:document_at] for t in (work.query if part == Q else [part])]
    after = [t for part in work.form.parts[document_at + 1 :] for t in (work.query if part == Q else [part])]
    for batch in range(len(made)):
        shape = (made.bounds[batch + 1] - made.bounds[batch], made.widths[batch])
        part = slice(made.offsets[batch], made.offsets[batch + 1])
        ids, mask = tensors["input_ids"][part].reshape(shape), tensors["attention_mask"][part].reshape(shape)
        for number, position in enumerate(made.order[made.bounds[batch] : made.bounds[batch + 1]].tolist()):
            row = ids[number, : mask[number].sum()].tolist()
            document = work.documents[work.rows[position]]
            middle = row[len(before) : len(row) - len(after)]
            assert row[: len(before)] == before
            assert row[len(row) - len(after) :] == after
            assert middle == document[: len(middle)]
            assert len(row) <= work.form.max_length


@given(works(), rules)
def test_collect_inverts_pack(work: Work, rule: tuple[int, int, int, int]) -> None:
    """A model that returns each row's checksum gives every candidate its own document's checksum."""
    texts, form, rows = work.ragged(), work.template(), int64(work.rows)
    made = kernels.plan(texts, rows, len(work.query), form, kernels.PlanRule(*rule))
    tensors = {role: np.empty(made.tokens, np.int64) for role in ("input_ids", "attention_mask")}
    kernels.pack(made, int64(work.query), texts, rows, form, tensors)
    pool = kernels.Pool()
    pool.reset(len(work.rows), None, 1, kernels.Fusion("last", "z-score", 60.0, [1.0, 1.0], []))
    for batch in range(len(made)):
        start, stop = made.bounds[batch], made.bounds[batch + 1]
        part = slice(made.offsets[batch], made.offsets[batch + 1])
        shape = (stop - start, made.widths[batch])
        live = tensors["input_ids"][part].reshape(shape) * tensors["attention_mask"][part].reshape(shape)
        sums = (live * np.arange(1, shape[1] + 1)).sum(axis=1).astype(np.float32)
        pool.collect(0, made.order[start:stop], sums, 1)
    order, _, _, logits = pool.finish(len(work.rows))
    found = dict(zip(order.tolist(), logits[:, 0].tolist(), strict=True))
    for candidate, row in enumerate(work.rows):
        whole = reference.make_row(work.query, work.documents[row], work.form, 64)
        checksum = sum(token * (at + 1) for at, token in enumerate(whole.ids) if whole.mask[at])
        assert found[candidate] == checksum


@pytest.mark.parametrize("narrow", [True, False])
@given(texts, st.data())
def test_gathered_ids_equal_the_reference(narrow: bool, lists: list[list[int]], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=10))
    whole = ragged(lists)
    kept = whole.ids.astype(np.uint16 if narrow else np.int32)
    found = kernels.gather_ids(kept, whole.cu_seqlens, int64(rows))
    expected = ragged([lists[row] for row in rows])
    assert found.ids.tolist() == expected.ids.tolist()
    assert found.cu_seqlens.tolist() == expected.cu_seqlens.tolist()


@given(works(), rules, st.data())
def test_a_plan_that_does_not_belong_to_the_rows_is_refused(
    work: Work, rule: tuple[int, int, int, int], data: st.DataObject
) -> None:
    """Corrupting one number of a plan is an error or leaves a valid plan; it is never a write out of bounds."""
    assume(work.rows)
    texts, form, rows = work.ragged(), work.template(), int64(work.rows)
    made = kernels.plan(texts, rows, len(work.query), form, kernels.PlanRule(*rule))
    arrays = [rows.copy(), made.lengths.copy(), made.order.copy(), int64(made.bounds), int64(made.widths)]
    victim = data.draw(st.sampled_from(arrays))
    place = data.draw(st.integers(0, len(victim) - 1))
    victim[place] = data.draw(st.sampled_from([-(2**62), -2, -1, 0, 1, 2, 5, 1000, 2**62]))
    guard = 64
    buffer = np.full(made.tokens + 2 * guard, -99, np.int64)
    inner = buffer[guard : guard + made.tokens]
    try:
        fill_batches(
            int64(work.query),
            texts.ids,
            texts.cu_seqlens,
            *arrays[:2],
            form,
            *arrays[2:],
            False,
            inner,
            None,
            None,
            None,
        )
    except ValueError:
        pass
    else:
        assert -99 not in inner.tolist()
    assert set(buffer[:guard].tolist()) | set(buffer[guard + made.tokens :].tolist()) == {-99}


@given(works(), rules)
def test_packed_rows_lie_end_to_end(work: Work, rule: tuple[int, int, int, int]) -> None:
    """The packed layout holds the same rows without padding; positions start anew in each."""
    texts, form, rows = work.ragged(), work.template(), int64(work.rows)
    count = len(rows)
    lengths, order, bounds, widths = (np.empty(count + extra, np.int64) for extra in (0, 0, 1, 0))
    sequence_lengths(texts.ids, texts.cu_seqlens, rows, len(work.query), form, lengths)
    batches, size = plan_batches(lengths, *rule, True, order, bounds, widths)
    ids, positions = np.full(size, -99, np.int64), np.full(size, -99, np.int64)
    plan = (order, bounds[: batches + 1], widths[:batches])
    fill_batches(
        int64(work.query), texts.ids, texts.cu_seqlens, rows, lengths, form, *plan, True, ids, None, None, positions
    )
    made = [
        reference.make_row(work.query, work.documents[work.rows[position]], work.form, int(lengths[position]))
        for position in order.tolist()
    ]
    assert ids.tolist() == [token for row in made for token in row.ids]
    assert positions.tolist() == [place for row in made for place in row.positions]
