"""Cascade files and settings: what is read, what the defaults are. What is refused: tests/bad_input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cascaderank import CascadeConfig, ConfigError, Stage
from cascaderank.config import parse_config, read_config

FULL = """
[cascade]
deadline_ms = 250
fusion = "convex"
normalisation = "min-max"
rrf_k = 30
weights = { first = 0.3 }
workers = 3
max_candidates = 500
truncate_query = true

[[stage]]
model = "minilm-bi"
keep = 100

[[stage]]
model = "minilm-ce-small"
name = "small"
keep = 20
weight = 0.5
precision = "int8"
token_budget = 4096
max_rows = 8
threads = 2
spinning = true

[[stage]]
model = "../models/my-large-reranker"
keep = 5
provider = "cuda"
device = 1
min_score = 0.02
margin = 3
when = { candidates_over = 8, stored = true }
"""


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "cascade.toml").write_text(FULL)
    assert read_config(tmp_path / "cascade.toml") == CascadeConfig(
        stages=(
            Stage("minilm-bi", keep=100),
            Stage(
                "minilm-ce-small",
                keep=20,
                name="small",
                weight=0.5,
                precision="int8",
                token_budget=4096,
                max_rows=8,
                threads=2,
                spinning=True,
            ),
            Stage(
                "../models/my-large-reranker",
                keep=5,
                provider="cuda",
                device=1,
                min_score=0.02,
                margin=3,
                candidates_over=8,
                stored=True,
            ),
        ),
        fusion="convex",
        normalisation="min-max",
        rrf_k=30,
        first_weight=0.3,
        deadline_ms=250,
        workers=3,
        max_candidates=500,
        truncate_query=True,
    )


def test_the_smallest_file() -> None:
    config = parse_config({"stage": [{"model": "m", "keep": 1}]}, "here")
    assert config == CascadeConfig(stages=(Stage("m", keep=1),))
    assert (config.fusion, config.deadline_ms, config.truncate_query) == ("last", None, False)


def test_relative_folders_start_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "cascade.toml").write_text(FULL)
    assert read_config(tmp_path / "cascade.toml").base == tmp_path


def test_a_path_is_a_model() -> None:
    assert Stage(Path("folder") / "model", keep=3).model == Path("folder/model")


def test_cut_offs_may_stay_the_same() -> None:
    assert len(CascadeConfig(stages=(Stage("a", keep=5), Stage("b", keep=5))).stages) == 2


def test_settings_are_frozen() -> None:
    stage = Stage("a", keep=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.keep = 6
    with pytest.raises(dataclasses.FrozenInstanceError):
        CascadeConfig(stages=(stage,)).fusion = "rrf"


def test_a_changed_copy_is_checked_again() -> None:
    with pytest.raises(ConfigError, match="keep is 0"):
        dataclasses.replace(Stage("a", keep=5), keep=0)


def test_an_error_in_python_names_the_stage() -> None:
    with pytest.raises(ConfigError, match="stage 'small': margin is -1"):
        Stage("a", keep=5, name="small", margin=-1)
    with pytest.raises(ConfigError, match="stage 'a': keep is 0"):
        Stage("a", keep=0)


def test_the_stages_for_documents_that_are_stored_or_not() -> None:
    cheap, good, last = Stage("cheap", keep=9, stored=False), Stage("good", keep=9, stored=True), Stage("last", keep=3)
    config = CascadeConfig(stages=(cheap, good, last), first_weight=0.2)
    for stored, chosen in ((True, good), (False, cheap)):
        expected = dataclasses.replace(config, stages=(dataclasses.replace(chosen, stored=None), last))
        assert config.for_documents(stored) == expected
    with pytest.raises(ConfigError, match="no stages"):
        CascadeConfig(stages=(cheap,)).for_documents(True)
