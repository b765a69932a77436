"""Truncation, degradation, a missing provider, an absent calibration: visible in the result, the trace, or an error."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from cascaderank import Cascade, ConfigError, Document, InputError, ProviderError, Stage, Store
from cascaderank.indexing import index_documents
from cascaderank.store import Truncation, Writer
from graphs import make_slow


@pytest.mark.parametrize(("kind", "special"), [("ce", 3 + 1), ("bi", 2), ("late", 2)])
def test_truncation_is_counted(models: Path, kind: str, special: int) -> None:
    """A window of 32: a document of 40 words loses what does not fit; one that just fits loses nothing."""
    room = 32 - special
    with Cascade([Stage(models / kind, keep=9)]) as cascade:
        trace = cascade.rank("red", ["cat " * 40, "cat " * room, "cat " * (room + 1), "cat"]).trace.stages[0]
    assert trace.truncated_documents == 2
    assert trace.truncated_tokens == (40 - room) + 1
    assert trace.truncated_query_tokens == 0


def test_a_cut_query_is_counted_and_never_cut_unasked(models: Path) -> None:
    query = "red " * 40
    with Cascade([Stage(models / "bi", keep=9)], truncate_query=True) as cascade:
        assert cascade.rank(query, ["red"]).trace.stages[0].truncated_query_tokens == 10
    with Cascade([Stage(models / "bi", keep=9)]) as cascade, pytest.raises(InputError, match="truncate_query"):
        cascade.rank(query, ["red"])


def test_the_cut_shows_in_the_table(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=9)]) as cascade:
        header, row = cascade.rank("red", ["cat " * 40, "cat"]).trace.table().splitlines()[:2]
    assert dict(zip(header.split(), row.split(), strict=True))["cut"] == "1"


def test_degradation_says_what_was_left_out(models: Path, tmp_path: Path) -> None:
    slow = make_slow(tmp_path / "slow")
    with Cascade([Stage(slow, keep=9, name="first"), Stage(models / "ce", keep=3)], workers=1) as cascade:
        hurried = cascade.rank("red", ["red"] * 2000, deadline_ms=100)
        assert hurried.degraded
        assert hurried.reasons[0].startswith("deadline: stage 'first' scored ")
        calm = cascade.rank("red", ["red"] * 20)
        assert not calm.degraded
        assert calm.reasons == ()


def test_a_provider_that_is_missing_is_an_error_or_named(models: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA: what happens without it cannot be seen here")
    with pytest.raises(ProviderError, match="'cuda' was asked for"):
        Cascade([Stage(models / "ce", keep=1, provider="cuda")])
    with Cascade([Stage(models / "ce", keep=1, provider="auto")]) as cascade:
        assert cascade.rank("red", ["red"]).trace.stages[0].provider == "cpu"


def test_a_missing_calibration_is_an_error(models: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[calibration\]"):
        Cascade([Stage(models / "ce", keep=1)], fusion="weighted")


def test_a_skipped_stage_and_a_dropped_candidate_are_in_the_trace(models: Path) -> None:
    stages = [Stage(models / "ce", keep=9, min_score=1.0), Stage(models / "ce2", keep=2, candidates_over=5)]
    with Cascade(stages) as cascade:
        first, second = cascade.rank("red", ["red", "cat", "red", "dog"]).trace.stages
    assert (first.candidates_in, first.scored, first.candidates_out) == (4, 4, 2)
    assert "2 candidates were below" in first.note
    assert (second.scored, second.candidates_out) == (0, 2)
    assert "skipped" in second.note


def test_encoding_without_stored_vectors_is_in_the_trace(models: Path) -> None:
    with Cascade([Stage(models / "bi", keep=9)]) as cascade:
        trace = cascade.rank("red", ["red", "cat"]).trace.stages[0]
    assert "encoded 2 documents without stored vectors" in trace.note
    assert trace.encode_ms > 0


def test_what_is_cut_while_documents_are_encoded_ahead_is_counted(models: Path, tmp_path: Path) -> None:
    """As many as a request without the store counts: both windows leave a document 30 tokens."""
    lengths = {"short": 5, "full": 30, "longer": 31, "long": 200}
    documents = [Document(name, " ".join(["red"] * count)) for name, count in lengths.items()]
    stages = [Stage(models / "bi", keep=9), Stage(models / "late", keep=9), Stage(models / "ce", keep=9)]
    with Cascade(stages) as cascade:
        report = index_documents(cascade, documents, tmp_path / "store")
        in_memory = cascade.encode(documents)
        seen = cascade.rank("red", documents).trace.stages
        digests = [spec.digest for spec in cascade.models]
    counted = {
        digest: Truncation(stage.truncated_documents, stage.truncated_tokens)
        for digest, stage in zip(digests[:2], seen, strict=False)
    }
    assert counted[digests[0]].documents == 2
    assert counted[digests[0]].tokens > 170
    assert report.truncated == in_memory.truncated == Store.open(tmp_path / "store").truncated == counted
    with Writer(tmp_path / "store") as writer:
        writer.delete(["long"])
        writer.commit()
        assert writer.store.truncated[digests[0]].documents == 1
        writer.compact()
        assert writer.store.truncated[digests[0]].documents == 1
