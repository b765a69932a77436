"""What a step of training reads and computes, on a tiny model. Needs the export extra."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="cross-encoders are trained with torch; the export extra has it")
transformers = pytest.importorskip("transformers", reason="the encoder is transformers'; the export extra has it")

NAMES = ("exporting.pair_head", "training.groups", "training.lessons", "training.precision", "training.teacher")


@pytest.fixture(scope="module")
def parts(recipes: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(**{name.rpartition(".")[2]: importlib.import_module(name) for name in NAMES})


def tiny(parts: SimpleNamespace, seed: int) -> object:
    torch.manual_seed(seed)
    shape = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 24}
    config = transformers.BertConfig(vocab_size=300, max_position_embeddings=64, initializer_range=0.3, **shape)
    return parts.pair_head.PairModel(transformers.BertModel(config, add_pooling_layer=False)).eval()


def group(parts: SimpleNamespace) -> object:
    rng = np.random.default_rng(0)
    rows = [([101, 150, 102, *rng.integers(110, 300, size).tolist(), 102], 3) for size in (9, 2, 30, 4, 17, 8)]
    return parts.groups.Group(rows, [3, 0, 1, 0, 2, 0], rng.standard_normal(6).astype(np.float32))


@pytest.mark.parametrize(
    ("flags", "bf16"),
    [("avx2 fma", False), ("avx2 avx512f avx512_bf16", True), ("amx_bf16", True), ("avx512_bf16x", False)],
)
def test_bf16_only_where_the_processor_computes_in_it(
    parts: SimpleNamespace, tmp_path: Path, flags: str, bf16: bool
) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: fpu {flags}\n", encoding="utf-8")
    wanted = torch.bfloat16 if bf16 else torch.float32
    assert parts.precision.training_dtype(tmp_path / "cpuinfo") is wanted
    assert parts.precision.training_dtype(tmp_path / "none") is torch.float32


def test_the_loss_does_not_depend_on_how_rows_are_read_together(
    parts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher, one = tiny(parts, 1), parts.teacher.Teacher(tiny(parts, 2)), group(parts)
    weights = parts.lessons.Weights(teacher=0.25, states=2.0, prior=0.5)
    found = []
    for size in (4, 1, 6):
        monkeypatch.setattr(parts.lessons.parts, "__defaults__", (size,))
        teacher = parts.teacher.Teacher(teacher.model)
        found.append(float(parts.lessons.group_loss(student, one, teacher, weights).detach()))
    assert found[0] > 0
    # The teacher's hidden states are kept in half precision.
    assert found == pytest.approx([found[0]] * 3, rel=1e-3)


def test_a_teacher_reads_a_group_once(parts: SimpleNamespace) -> None:
    teacher, one = parts.teacher.Teacher(tiny(parts, 2)), group(parts)
    pieces = parts.lessons.parts(one.rows)
    assert [part.places for part in pieces] == [[1, 3, 5, 0], [4, 2]]
    first = teacher(one, pieces)
    assert teacher(one, pieces) is first
    assert teacher(group(parts), pieces) is not first


def test_steps_come_again_between_new_ones(parts: SimpleNamespace) -> None:
    drawn = iter(range(100))
    steps = parts.teacher.Again(lambda: [next(drawn)], times=1, seed=0, kept=3)
    found = [steps.groups()[0] for _ in range(13)]
    # The first three only fill what is chosen from; then every second step is new, the others are of the last three.
    assert found[:3] == [0, 1, 2]
    assert found[3::2] == [3, 4, 5, 6, 7]
    for new, again in zip(found[3::2], found[4::2], strict=True):
        assert new - 2 <= again <= new
