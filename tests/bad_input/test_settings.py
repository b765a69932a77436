"""Settings that are wrong: refused when the cascade is made, naming the file and the key; never at the first query."""

from __future__ import annotations

from pathlib import Path

import pytest

from cascaderank import Cascade, CascadeConfig, ConfigError, ModelError, ProviderError, Stage


def load(folder: Path, text: str) -> Cascade:
    file = folder / "cascade.toml"
    file.write_text(text, encoding="utf-8")
    return Cascade.load(file)


STAGE = '[[stage]]\nmodel = "ce"\nkeep = 5\n'

FILES = [
    ("", "no [[stage]]"),
    ("stage = 3", "no [[stage]]"),
    ('stage = ["ce"]', "stage[1]: expected a table, got str"),
    ("[cascade]\n" + STAGE + "[[stag]]", "unknown key 'stag'"),
    ("[[stage]]\nkeep = 3", "stage[1]: key 'model' is missing"),
    ('[[stage]]\nmodel = "ce"', "stage[1]: key 'keep' is missing"),
    ('[[stage]]\nmodel = ""\nkeep = 3', "stage[1]: stage: model is ''"),
    ("[[stage]]\nmodel = 3\nkeep = 3", "stage[1]: model is 3, expected a string"),
    # a cut-off of 0, one that is no number, one that grows
    ('[[stage]]\nmodel = "ce"\nkeep = 0', "stage[1]: keep is 0, expected an integer of at least 1"),
    ('[[stage]]\nmodel = "ce"\nkeep = -4', "stage[1]: keep is -4"),
    ('[[stage]]\nmodel = "ce"\nkeep = 5.0', "stage[1]: keep is 5.0"),
    ('[[stage]]\nmodel = "ce"\nkeep = "5"', "stage[1]: keep is '5'"),
    ('[[stage]]\nmodel = "ce"\nkeep = true', "stage[1]: keep is True"),
    (STAGE + '[[stage]]\nmodel = "ce"\nkeep = 6', "stage[2].keep is 6, more than the 5 that stage[1] lets through"),
    # unknown keys
    (STAGE + "kep = 5", "stage[1]: unknown key 'kep'"),
    (STAGE + "[cascade]\ndeadline = 5", "[cascade]: unknown key 'deadline'"),
    (STAGE + "[cascade.weights]\nfirst = 1\nsecond = 2", "[weights]: unknown key 'second'"),
    (STAGE + "when = { candidates_under = 3 }", "[when]: unknown key 'candidates_under'"),
    # providers and devices
    (STAGE + 'provider = "tpu"', "provider is 'tpu', expected one of cpu, cuda, openvino, auto"),
    (STAGE + "provider = 3", "provider is 3"),
    (STAGE + "device = -1", "device is -1"),
    # values
    (STAGE + 'precision = "int4"', "precision is 'int4', expected one of fp32, fp16, bf16, int8"),
    (STAGE + "weight = -1", "weight is -1"),
    (STAGE + 'weight = "1"', "weight is '1'"),
    (STAGE + "weight = nan", "weight is nan"),
    (STAGE + "min_score = inf", "min_score is inf"),
    (STAGE + "margin = -0.5", "margin is -0.5"),
    (STAGE + "when = { candidates_over = 0 }", "candidates_over is 0"),
    (STAGE + "when = { stored = 1 }", "stored is 1, expected true or false"),
    (STAGE + "when = 8", "when is 8, expected a table"),
    (STAGE + "token_budget = 0", "token_budget is 0"),
    (STAGE + "max_rows = 0", "max_rows is 0"),
    (STAGE + "threads = 0", "threads is 0"),
    (STAGE + 'spinning = "no"', "spinning is 'no', expected true or false"),
    (STAGE + "name = 3", "name is 3, expected a string"),
    (STAGE + '[cascade]\nfusion = "sum"', "fusion is 'sum', expected one of last, rrf, convex, weighted"),
    (STAGE + "[cascade]\nfusion = true", "fusion is True"),
    (STAGE + '[cascade]\nnormalisation = "l2"', "normalisation is 'l2'"),
    (STAGE + "[cascade]\nrrf_k = -1", "rrf_k is -1"),
    (STAGE + "[cascade]\nweights = 3", "weights is 3, expected a table"),
    (STAGE + '[cascade]\nweights = { first = "much" }', "first is 'much'"),
    (STAGE + "[cascade]\nweights = { first = -1 }", "first is -1"),
    (STAGE + "[cascade]\ndeadline_ms = 0", "deadline_ms is 0"),
    (STAGE + "[cascade]\ndeadline_ms = -3", "deadline_ms is -3"),
    (STAGE + "[cascade]\ndeadline_ms = true", "deadline_ms is True"),
    (STAGE + "[cascade]\nworkers = 0", "workers is 0"),
    (STAGE + "[cascade]\nmax_candidates = 0", "max_candidates is 0"),
    (STAGE + '[cascade]\ntruncate_query = "yes"', "truncate_query is 'yes', expected true or false"),
    (STAGE + "weight = 0\n[cascade]\nfusion = 'rrf'", "stages that all have weight 0"),
    ("cascade = 3\n" + STAGE, "cascade is 3, expected a table"),
    # not TOML
    ("[[stage", "not valid TOML"),
    (STAGE + "keep = 4", "not valid TOML"),
]


@pytest.mark.parametrize(("text", "message"), FILES, ids=[message for _, message in FILES])
def test_a_file_is_refused_by_name_and_key(models: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "ce").symlink_to(models / "ce")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert str(tmp_path / "cascade.toml") in str(caught.value)


def test_the_file_the_others_were_spoilt_from_is_fine(models: Path, tmp_path: Path) -> None:
    (tmp_path / "ce").symlink_to(models / "ce")
    load(tmp_path, "[cascade]\n" + STAGE).close()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot read the cascade file"):
        Cascade.load(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot read the cascade file"):
        Cascade.load(tmp_path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "cascade.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        Cascade.load(tmp_path / "cascade.toml")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"(?s)model 'nowhere': no such folder .*nowhere.* no installed model"):
        load(tmp_path, '[[stage]]\nmodel = "nowhere"\nkeep = 1')


def test_cuda_where_there_is_none(models: Path, tmp_path: Path) -> None:
    """Asked for by name, CUDA is used or the cascade is not made; there is no silent fallback."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA: what happens without it cannot be seen here")
    (tmp_path / "ce").symlink_to(models / "ce")
    with pytest.raises(ProviderError, match=r"(?s)'ce'.*'cuda' was asked for.*cascaderank\[gpu\].*provider = 'cpu'"):
        load(tmp_path, STAGE + 'provider = "cuda"')
    with load(tmp_path, STAGE + 'provider = "auto"') as cascade:
        assert cascade.providers == ("cpu",)
        assert cascade.rank("red", ["red"]).trace.stages[0].provider == "cpu"


def test_a_precision_the_folder_does_not_have(models: Path) -> None:
    with pytest.raises(ModelError, match=r"stage 'ce': precision 'int8' was asked for, .* holds fp32"):
        Cascade([Stage(models / "ce", keep=1, precision="int8")])


@pytest.mark.parametrize("value", [0.0, 1.0, 1.5, -0.1])
def test_a_minimum_no_probability_can_have(models: Path, value: float) -> None:
    with pytest.raises(ModelError, match="between 0 and 1"):
        Cascade([Stage(models / "ce2", keep=1, min_score=value)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": ()}, "no stages"),
        ({"stages": ("ce",)}, "holds a str, expected Stage"),
        ({"fusion": "sum"}, "fusion is 'sum'"),
        ({"truncate_query": 1}, "truncate_query is 1"),
        ({"max_candidates": 2.5}, "max_candidates is 2.5"),
    ],
)
def test_settings_in_python_are_checked_alike(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        CascadeConfig(**{"stages": (Stage("ce", keep=1),), **settings})


def test_weights_take_the_first_pass_alone(models: Path) -> None:
    with pytest.raises(ConfigError, match="weights has 'ce'"):
        Cascade([Stage(models / "ce", keep=1)], weights={"ce": 1.0})


def test_settings_beside_a_configuration_are_not_dropped(models: Path) -> None:
    """A CascadeConfig holds every setting; one given beside it would be lost without a word."""
    config = CascadeConfig(stages=(Stage(models / "ce", keep=1),))
    with pytest.raises(ConfigError, match="fusion"):
        Cascade(config, fusion="rrf")


def test_stages_must_be_given(models: Path) -> None:
    with pytest.raises(ConfigError, match="no stages"):
        Cascade([])
    with pytest.raises(ConfigError, match="stages"):
        Cascade(models / "ce")
