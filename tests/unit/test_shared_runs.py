"""One run for several requests: the same answers as alone, over the host's and a device's buffers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from cascaderank import Cascade, Ranking, Stage
from cascaderank.kernels import PlanRule, Ragged, Template, pack, plan
from cascaderank.model import ModelSpec, load_spec
from cascaderank.session import BoundRunner, Cancellation, DirectRunner, OutOfMemory
from cascaderank.stages.micro_batches import MicroBatches
from ranking import QUERY, random_texts, summary
from tiny import VOCABULARY, make_cross_encoder

RULE = PlanRule(token_budget=16_384, max_rows=128, window=1 << 40, width_multiple=8)
PAD = 0


class Kept:
    """One request's micro-batches, and the outputs that it was given."""

    def __init__(self, spec: ModelSpec, lengths: list[int], seed: int, rule: PlanRule = RULE) -> None:
        generator = np.random.default_rng(seed)
        bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        texts = Ragged(generator.integers(5, len(VOCABULARY), bounds[-1]), bounds)
        query = np.array([VOCABULARY["red"], VOCABULARY["cat"]])
        paired = spec.kind == "cross_encoder"
        parts = [2, -1, 3, -2, 3] if paired else [2, -2, 3]
        form = Template(parts, [0, 0, 0, 1, 1] if paired else [0, 0, 0], PAD, 0, spec.max_length)
        rows = np.arange(len(lengths))
        made = plan(texts, rows, len(query) if paired else 0, form, rule)
        buffers = {role: np.empty(made.tokens, np.int64) for role in spec.input.names}
        pack(made, query if paired else query[:0], texts, rows, form, buffers)
        self.outputs: dict[int, np.ndarray] = {}
        self.batches = MicroBatches(made, form, buffers, self._keep, rule=rule)

    def _keep(self, batch: int, tensors: dict[str, np.ndarray], output: Any) -> None:
        assert len(output) == len(tensors["input_ids"])
        self.outputs[batch] = np.array(output)


@pytest.mark.parametrize("device", [False, True], ids=["host", "device"])
@pytest.mark.parametrize("kind", ["ce", "ce2", "bi", "late"])
def test_each_member_gets_what_it_gets_alone(models: Path, kind: str, device: bool) -> None:
    spec = load_spec(models / kind)
    inner = onnxruntime.InferenceSession(spec.model_file.read_bytes(), providers=["CPUExecutionProvider"])
    names, output = spec.input.names, spec.output.name
    runner = BoundRunner(inner, names, output, "cpu", 0, spec) if device else DirectRunner(inner, names, output)
    options = Cancellation().options()
    sizes = [[3, 5, 1], [9, 2], [17], [4] * 9]
    alone, together = ([Kept(spec, lengths, seed) for seed, lengths in enumerate(sizes)] for _ in range(2))
    for one in alone:
        one.batches.run(0, runner, options)
    members = [(one.batches, 0) for one in together]
    shares = members[0][0].run_together(members, runner, options)
    assert all(isinstance(share, float) and share > 0 for share in shares)
    for one, other in zip(alone, together, strict=True):
        assert list(other.outputs) == [0]
        np.testing.assert_allclose(other.outputs[0], one.outputs[0], rtol=0, atol=1e-6)


def test_what_fits_into_one_run(models: Path) -> None:
    spec = load_spec(models / "ce")
    narrow, wide, many = (
        Kept(spec, [3, 3], 0).batches,
        Kept(spec, [40] * 2, 1).batches,
        Kept(spec, [3] * 127, 2).batches,
    )
    assert narrow.together([(narrow, 0), (narrow, 0)]) == 2 * narrow.tokens[0]
    assert narrow.together([(narrow, 0), (wide, 0)]) == 0, "the narrow rows would be mostly padding"
    assert narrow.together([(narrow, 0), (many, 0)]) == 0, "129 rows"
    small = PlanRule(narrow.tokens[0] * 2 - 1, 128, 1 << 40, 8)
    tight = Kept(spec, [3, 3], 0, small).batches
    assert tight.together([(tight, 0)] * 2) == 0, "one token too many"
    form = Template([2, -2, 3], [0, 0, 0], PAD, 0, spec.max_length)
    made = plan(Ragged(np.array([5]), np.array([0, 1])), np.zeros(1, np.int64), 0, form, RULE)
    never = MicroBatches(made, form, {"input_ids": np.zeros(made.tokens, np.int64)}, lambda *_: None)
    assert not never.shares
    assert never.together([(never, 0), (never, 0)]) == 0


def test_rows_without_a_mask_are_not_padded_further() -> None:
    form = Template([2, -2, 3], [0, 0, 0], PAD, 0, 64)
    batches = []
    for length in (6, 12):
        texts = Ragged(np.full(length, 5), np.array([0, length]))
        made = plan(texts, np.zeros(1, np.int64), 0, form, PlanRule(16_384, 128, 1 << 40, 1))
        batches.append(
            MicroBatches(made, form, {"input_ids": np.zeros(made.tokens, np.int64)}, lambda *_: None, rule=RULE)
        )
    one, other = batches
    assert one.together([(one, 0), (one, 0)]) == 16
    assert one.together([(one, 0), (other, 0)]) == 0


def test_a_shared_run_without_memory_is_halved(models: Path) -> None:
    spec = load_spec(models / "ce")
    inner = onnxruntime.InferenceSession(spec.model_file.read_bytes(), providers=["CPUExecutionProvider"])

    class Small(DirectRunner):
        def run(self, tensors: Any, options: Any, past: Any = None) -> np.ndarray:
            if len(tensors["input_ids"]) > 2:
                raise OutOfMemory("three rows")
            return super().run(tensors, options, past)

    runner = Small(inner, spec.input.names, spec.output.name)
    options = Cancellation().options()
    members = [Kept(spec, [3, 5, 1], 0), Kept(spec, [2, 4], 1)]
    members[0].batches.run_together([(one.batches, 0) for one in members], runner, options)
    for seed, one in enumerate(members):
        again = Kept(spec, [[3, 5, 1], [2, 4]][seed], seed)
        again.batches.run(0, runner, options)
        np.testing.assert_array_equal(one.outputs[0], again.outputs[0])


@pytest.mark.parametrize("kinds", [("bi", "ce"), ("late", "ce2")])
def test_requests_at_once_get_the_answers_of_an_idle_cascade(models: Path, kinds: tuple[str, str]) -> None:
    stages = [Stage(models / kind, keep=keep, token_budget=4096) for kind, keep in zip(kinds, (8, 4), strict=True)]
    texts = [random_texts(3 + seed % 9, seed) for seed in range(64)]
    gate = threading.Barrier(16, timeout=30)

    def ask(number: int) -> Ranking:
        if number < 16:
            gate.wait()
        return cascade.rank(QUERY, texts[number])

    with Cascade(stages, workers=1) as cascade:
        expected = [summary(cascade.rank(QUERY, some)) for some in texts]
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(ask, range(len(texts))))
    for one, other in zip(found, expected, strict=True):
        assert [hit[0] for hit in summary(one)] == [hit[0] for hit in other]
        np.testing.assert_allclose([hit[2] for hit in summary(one)], [hit[2] for hit in other], atol=1e-5)
    notes = [stage.note for ranking in found for stage in ranking.trace.stages]
    assert any("runs were shared with other requests" in note for note in notes)


def test_a_model_that_neighbours_move_runs_alone(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "int8", precision__batch_invariant=False)
    gate = threading.Barrier(8, timeout=30)

    def ask(number: int) -> Ranking:
        gate.wait()
        return cascade.rank(QUERY, random_texts(3, number))

    with Cascade([Stage(folder, keep=4, token_budget=4096)], workers=1) as cascade, ThreadPoolExecutor(8) as pool:
        rankings = list(pool.map(ask, range(8)))
    assert not any("shared" in stage.note for ranking in rankings for stage in ranking.trace.stages)
