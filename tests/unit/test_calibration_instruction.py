"""An instruction changes a decoder's logits, so a calibration holds for the one it was fitted under alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibrated import add_calibration
from cascaderank import Cascade, ConfigError, InputError, ModelError, Ranking, Stage
from decoder_graph import make_decoder
from tiny import make_cross_encoder

VOID = "no probability: the model was calibrated under another instruction"


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """Its own instruction is "two", and it was calibrated with that."""
    changes = {"input__instruction_prefix": "one $instruction ", "input__instruction": "two"}
    return add_calibration(make_decoder(tmp_path / "asked", **changes), a=0.1, b=0.0)


def rank(stage: Stage, **settings: object) -> Ranking:
    with Cascade([stage]) as cascade:
        return cascade.rank("cat", ["dog", "fish"], **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(("stage", "request_", "holds"), [
    (None, None, True), ("two", None, True), ("red", None, False),
    (None, "two", True), (None, "red", False), ("red", "two", False),
])  # fmt: skip
def test_a_probability_is_shown_under_the_instruction_of_the_fit_alone(
    asked: Path, stage: str | None, request_: str | None, holds: bool
) -> None:
    """A stage that says something else has no calibration, so a request cannot bring it back."""
    ranking = rank(Stage(asked, keep=2, instruction=stage), instruction=request_)
    assert [hit.probability is not None for hit in ranking] == [holds, holds]
    assert (VOID in ranking.trace.stages[0].note) is not holds


def test_what_goes_by_a_calibration_is_refused_where_it_does_not_hold(asked: Path) -> None:
    limited = Stage(asked, keep=2, min_probability=0.01)
    with pytest.raises(
        ConfigError, match=r"(?s)min_probability.*under the instruction.*calibrate .* --instruction red"
    ):
        rank(Stage(asked, keep=2, min_probability=0.01, instruction="red"))
    with pytest.raises(ConfigError, match=r"(?s)'weighted'.*under the instruction that this stage gives"):
        Cascade([Stage(asked, keep=2, instruction="red")], fusion="weighted")
    with pytest.raises(InputError, match=r"instruction: .* calibrated under another one, and its min_probability"):
        rank(limited, instruction="red")
    with Cascade([Stage(asked, keep=2)], fusion="weighted") as cascade:
        with pytest.raises(InputError, match="its weight in the fusion goes by"):
            cascade.rank("cat", ["dog"], instruction="red")
        assert cascade.rank("cat", ["dog"], instruction="two")[0].probability is not None
    assert len(rank(limited, instruction="two")) == 2


def test_a_stage_that_weighs_nothing_and_one_that_takes_no_instruction_do_not_mind(asked: Path, tmp_path: Path) -> None:
    other = add_calibration(make_cross_encoder(tmp_path / "ce"), a=1.0, b=0.0)
    stages = [Stage(asked, keep=2, weight=0.0), Stage(other, keep=2)]
    with Cascade(stages, fusion="weighted") as cascade:
        ranking = cascade.rank("cat", ["dog", "cat"], instruction="red")
    assert [hit.probability is not None for hit in ranking] == [True, True]
    assert [VOID in stage.note for stage in ranking.trace.stages] == [True, False]


def test_a_calibration_says_what_it_was_fitted_under(asked: Path) -> None:
    with (asked / "model.toml").open("a", encoding="utf-8") as file:
        file.write('[calibration.fitted_on]\ninstruction = "red"\n')
    assert rank(Stage(asked, keep=2, instruction="red"))[0].probability is not None
    assert rank(Stage(asked, keep=2))[0].probability is None
    with pytest.raises(ConfigError, match="under the instruction that this stage gives"):
        Cascade([Stage(asked, keep=2)], fusion="weighted")
    path = asked / "model.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace('instruction = "red"', "instruction = 3"), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="instruction is 3, expected a string"):
        rank(Stage(asked, keep=2))
