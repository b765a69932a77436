"""Packing: token lists -> the tensors of micro-batches, beside two Python loops that write the same tensors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from kernel_case import Case

from cascaderank.kernels import DOCUMENT, QUERY, PlanRule, Ragged, Template, pack, plan

CLS, SEP, PAD = 101, 102, 0


def packing(random: np.random.Generator, name: str, rule: PlanRule) -> Case:
    """1000 pairs of about 100 tokens: a query of 10, documents of 60 to 114, three special tokens."""
    lengths = random.integers(60, 115, 1000)
    ids = random.integers(1000, 30_000, int(lengths.sum()))
    documents = Ragged(ids, np.concatenate([[0], np.cumsum(lengths)]))
    query = random.integers(1000, 30_000, 10)
    rows = np.arange(1000)
    form = Template([CLS, QUERY, SEP, DOCUMENT, SEP], [0, 0, 0, 1, 1], PAD, 0, 256)
    # What a Python program holds after tokenising: a list of ids per text.
    query_list = query.tolist()
    bounds = documents.cu_seqlens.tolist()
    lists = [ids[start:stop].tolist() for start, stop in pairwise(bounds)]

    def ours() -> Any:
        made = plan(documents, rows, len(query), form, rule)
        tensors = {name: np.empty(made.tokens, np.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
        pack(made, query, documents, rows, form, tensors)
        return [made.order, *tensors.values()]

    def grouped(lengths: list[int]) -> list[list[int]]:
        """Longest first, as many rows as the budget takes at the width of the first."""
        groups: list[list[int]] = []
        for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
            full = groups and (
                len(groups[-1]) == rule.max_rows or (len(groups[-1]) + 1) * lengths[groups[-1][0]] > rule.token_budget
            )
            if not groups or full:
                groups.append([])
            groups[-1].append(row)
        return groups

    def python_lists() -> Any:
        pairs = [[CLS, *query_list, SEP, *tokens[: 256 - 3 - len(query_list)], SEP] for tokens in lists]
        front = len(query_list) + 2
        ids_out, mask_out, types_out, order = [], [], [], []
        for group in grouped([len(pair) for pair in pairs]):
            width = len(pairs[group[0]])
            ids_out.append(np.array([pairs[row] + [PAD] * (width - len(pairs[row])) for row in group]))
            mask_out.append(np.array([[1] * len(pairs[row]) + [0] * (width - len(pairs[row])) for row in group]))
            types_out.append(
                np.array(
                    [[0] * front + [1] * (len(pairs[row]) - front) + [0] * (width - len(pairs[row])) for row in group]
                )
            )
            order += group
        return [np.array(order), *(np.concatenate([a.reshape(-1) for a in o]) for o in (ids_out, mask_out, types_out))]

    def python_rows() -> Any:
        """The loop of somebody who knows NumPy: slices into preallocated tensors."""
        front = len(query) + 2
        lengths = np.minimum(np.diff(documents.cu_seqlens) + front + 1, 256).tolist()
        out: list[list[np.ndarray]] = [[], [], []]
        order: list[int] = []
        for group in grouped(lengths):
            shape = (len(group), lengths[group[0]])
            input_ids, mask, types = np.full(shape, PAD), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
            for place, row in enumerate(group):
                length = lengths[row]
                input_ids[place, 0] = CLS
                input_ids[place, 1 : front - 1] = query
                input_ids[place, front - 1] = SEP
                input_ids[place, front : length - 1] = ids[bounds[row] : bounds[row] + length - 1 - front]
                input_ids[place, length - 1] = SEP
                mask[place, :length] = 1
                types[place, front:length] = 1
            for held, tensor in zip(out, (input_ids, mask, types), strict=True):
                held.append(tensor.reshape(-1))
            order += group
        return [np.array(order), *(np.concatenate(held) for held in out)]

    return Case(name, ours, {"python lists": python_lists, "python + numpy rows": python_rows}, _equal, 10.0)


def _equal(ours: Any, theirs: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
