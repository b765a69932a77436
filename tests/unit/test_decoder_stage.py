"""The decoder stage over a synthetic model: the prefix that all documents share, instructions, truncation, limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cascaderank import Cascade, InputError, ModelError, Stage
from cascaderank.config import read_config
from cascaderank.golden import make_request, template_hash
from cascaderank.job import clock
from cascaderank.kernels import PlanRule
from cascaderank.manifest import GoldenPair
from cascaderank.providers import SessionOptions
from cascaderank.schedule import Workers
from cascaderank.session import PastRunner, Session
from cascaderank.stages import Counts, Decoder, Loader
from decoder_graph import logit, make_decoder
from tiny import ids

DOCUMENTS = ["cat", "", "dog fish one", "two " * 40, "cat", "three two one red green blue"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_decoder(tmp_path_factory.mktemp("decoder") / "plain")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an instruction of its own, prefixes and a query suffix."""
    return make_decoder(
        tmp_path_factory.mktemp("decoder") / "asked",
        input__instruction_prefix="one $instruction ",
        input__instruction="two",
        input__query_prefix="query ",
        input__query_suffix=" three",
        input__document_prefix="passage ",
    )


def scores(folder: Path, query: str, documents: list[str], **settings: object) -> list[float]:
    with Cascade([Stage(folder, keep=len(documents))]) as cascade:
        ranking = cascade.rank(query, documents, **settings)  # type: ignore[arg-type]
    found = {hit.index: hit.scores[0] for hit in ranking}
    return [float(found[index]) for index in range(len(documents))]  # type: ignore[arg-type]


def test_scores_are_those_of_the_whole_row(plain: Path) -> None:
    """Truncation takes from the document alone: the template's tail is in every row."""
    expected = [logit("green fish", text) for text in DOCUMENTS]
    assert scores(plain, "green fish", DOCUMENTS) == pytest.approx(expected, rel=1e-6)


def test_sharing_changes_no_score_and_saves_the_prefix(plain: Path, tmp_path: Path) -> None:
    alone = make_decoder(tmp_path / "alone", shared=False)
    assert scores(alone, "green fish", DOCUMENTS) == pytest.approx(scores(plain, "green fish", DOCUMENTS), rel=1e-6)
    tokens = {}
    for folder in (plain, alone):
        with Cascade([Stage(folder, keep=3)]) as cascade:
            tokens[folder.name] = cascade.rank("green fish", ["cat", "dog", "one"]).trace.stages[0].tokens
    prefix, rest = 5, 3  # [CLS] red green fish [SEP] and document blue [SEP]
    assert tokens == {"plain": prefix + 3 * rest, "alone": 3 * (prefix + rest)}


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_rows_that_share_a_run_score_as_alone(plain: Path, rows: int) -> None:
    with Cascade([Stage(plain, keep=6, max_rows=rows, token_budget=4096)]) as cascade:
        ranking = cascade.rank("red", DOCUMENTS)
    found = {hit.index: hit.scores[0] for hit in ranking}
    assert [found[i] for i in range(6)] == pytest.approx([logit("red", text) for text in DOCUMENTS], rel=1e-6)


def test_the_instruction_is_the_requests_then_the_stages_then_the_models(asked: Path) -> None:
    def expected(said: str) -> float:
        return logit(f"one {said} query cat three", "passage dog")

    assert scores(asked, "cat", ["dog"]) == pytest.approx([expected("two")], rel=1e-6)
    assert scores(asked, "cat", ["dog"], instruction="fish") == pytest.approx([expected("fish")], rel=1e-6)
    with Cascade([Stage(asked, keep=1, instruction="green blue")]) as cascade:
        assert cascade.rank("cat", ["dog"])[0].score == pytest.approx(expected("green blue"), rel=1e-6)
        assert cascade.rank("cat", ["dog"], instruction="red")[0].score == pytest.approx(expected("red"), rel=1e-6)


def test_a_text_that_looks_like_the_template_is_text(asked: Path) -> None:
    """An encoder's prompt is left out where the caller wrote it; a decoder's template never is."""
    found = scores(asked, "query cat", ["passage dog"])
    assert found == pytest.approx([logit("one two query query cat three", "passage passage dog")], rel=1e-6)


def test_an_instruction_nobody_takes_is_refused(plain: Path, asked: Path) -> None:
    with Cascade([Stage(plain, keep=1)]) as cascade, pytest.raises(InputError, match="no stage of this cascade"):
        cascade.rank("cat", ["dog"], instruction="fish")
    with pytest.raises(ModelError, match="instruction"):
        Cascade([Stage(plain, keep=1, instruction="fish")])
    with Cascade([Stage(asked, keep=1)]) as cascade:
        for wrong in ("", "  ", 5):
            with pytest.raises(InputError, match="instruction"):
                cascade.rank("cat", ["dog"], instruction=wrong)  # type: ignore[arg-type]


def test_a_cascade_file_gives_an_instruction(asked: Path, tmp_path: Path) -> None:
    file = tmp_path / "cascade.toml"
    file.write_text(f'[[stage]]\nmodel = "{asked}"\nkeep = 2\ninstruction = "fish"\n', encoding="utf-8")
    assert read_config(file).stages[0].instruction == "fish"
    with Cascade.load(file) as cascade:
        assert cascade.rank("cat", ["dog"])[0].score == pytest.approx(logit("one fish query cat three", "passage dog"))


def test_a_query_that_is_cut_keeps_its_suffix(asked: Path) -> None:
    query = "red " * 40
    with Cascade([Stage(asked, keep=1)]) as cascade, pytest.raises(InputError, match="with its instruction"):
        cascade.rank(query, ["dog"])
    with Cascade([Stage(asked, keep=1)], truncate_query=True) as cascade:
        ranking = cascade.rank(query, ["dog " * 40])
    kept = 32 * 3 // 4
    words = ["one", "two", "query", *["red"] * (kept - 4), "three"]
    assert ranking[0].score == pytest.approx(logit(" ".join(words), "passage " + "dog " * 40), rel=1e-6)
    assert ranking.trace.stages[0].truncated_query_tokens == 4 + 40 - kept


def test_the_prefix_is_computed_once_per_request(plain: Path) -> None:
    """With a deadline candidates are scored in rounds; the second round finds the first one's keys and values."""
    workers = Workers(1)
    scorer = Loader(workers, None).load(Stage(plain, keep=200))
    request = make_request("green", ["cat"] * 150)
    request.budget.due = clock() + 60
    counts = Counts()
    scored = scorer.score(request, np.arange(150), counts)
    workers.close()
    assert len(scored.positions) == 150
    assert counts.tokens == 4 + 150 * 3


def test_a_deadline_before_the_prefix_leaves_the_order(plain: Path) -> None:
    with Cascade([Stage(plain, keep=3)]) as cascade:
        ranking = cascade.rank("green", ["cat", "dog", "one"], deadline_ms=1e-6)
    assert ranking.degraded
    assert [hit.index for hit in ranking] == [0, 1, 2]


def test_a_device_keeps_keys_and_values_as_an_input(plain: Path) -> None:
    """What runs on a GPU, on the one device that is here: the binding, without its speed."""
    workers = Workers(1)
    scorer = Loader(workers, None).load(Stage(plain, keep=9, provider="cpu", max_rows=4, token_budget=4096))
    workers.close()
    session = Session(scorer.part.spec, SessionOptions("cpu"))
    assert session._past is not None
    runner = PastRunner(session._inner, session.spec, session._past, "cpu", 0)
    prefix, rest = np.array([[2, 10, 11]]), np.array([[13, 12, 3], [14, 12, 3]])
    past = runner.prefix({"input_ids": prefix, "attention_mask": np.ones_like(prefix)}, None)
    found = runner.run({"input_ids": rest, "attention_mask": np.ones_like(rest)}, None, past)
    rows = np.concatenate([np.repeat(prefix, 2, axis=0), rest], axis=1)
    np.testing.assert_allclose(found[:, 0], (rows * np.arange(1, 7)).sum(1) / 1000, rtol=1e-6)
    whole = runner.run({"input_ids": rows, "attention_mask": np.ones_like(rows)}, None)
    np.testing.assert_allclose(whole, found, rtol=1e-6)


def test_past_and_present_go_together(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="go together"):
        Cascade([Stage(make_decoder(tmp_path / "a", shared=False, output__present="present"), keep=1)])
    with pytest.raises(ModelError, match="no output 'gone'"):
        Cascade([Stage(make_decoder(tmp_path / "b", output__present="gone"), keep=1)])


def test_center_and_temperature_make_the_shown_score(tmp_path: Path) -> None:
    folder = make_decoder(tmp_path / "shown", output__score="sigmoid", output__center=0.2, output__temperature=0.5)
    raw = [logit("red", text) for text in DOCUMENTS]
    shown = [1 / (1 + np.exp(-(value - 0.2) / 0.5)) for value in raw]
    assert scores(folder, "red", DOCUMENTS) == pytest.approx(shown, rel=1e-5)
    limit = sorted(shown)[2] + 1e-4
    with Cascade([Stage(folder, keep=6, min_score=limit)]) as cascade:
        assert cascade.rank("red", DOCUMENTS).kept == 3
    with pytest.raises(ModelError, match="temperature"):
        Cascade([Stage(make_decoder(tmp_path / "bad", output__temperature=0.0), keep=1)])


def test_share_is_for_measuring(plain: Path) -> None:
    workers = Workers(1)
    part = Loader(workers, None).load(Stage(plain, keep=9)).part
    counts = Counts()
    Decoder(part, share=False).score(make_request("green", ["cat", "dog"]), np.arange(2), counts)
    workers.close()
    assert counts.tokens == 2 * (4 + 3)
    assert len(ids("green")) == 1


def test_a_device_s_padding_is_no_part_of_the_prefix(plain: Path) -> None:
    """On a device widths are rounded up; keys and values of padding would be part of every row's past."""
    workers = Workers(1)
    scorer = Loader(workers, None).load(Stage(plain, keep=9))
    scorer.part.rule = PlanRule(16_384, 128, 1 << 40, 32)
    scored = scorer.score(make_request("green fish", DOCUMENTS), np.arange(6), Counts())
    workers.close()
    found = np.empty(6, np.float32)
    found[scored.positions] = scored.outputs
    assert found.tolist() == pytest.approx([logit("green fish", text) for text in DOCUMENTS], rel=1e-6)


def test_a_stage_s_instruction_is_none_of_the_golden_scores(tmp_path: Path) -> None:
    """They were made with the model's own, and stay the model's."""
    settings = {"input__instruction_prefix": "one $instruction ", "input__instruction": "two"}
    folder = make_decoder(tmp_path / "golden", **settings)
    workers = Workers(1)
    scorer = Loader(workers, None).load(Stage(folder, keep=1))
    pair = GoldenPair("cat", "dog", 1, logit("one two cat", "dog"))
    template = template_hash(scorer.part.spec, scorer.part.tokenizer, [pair])
    workers.close()
    with (folder / "model.toml").open("a", encoding="utf-8") as file:
        file.write(f'[golden]\ntemplate = "{template}"\ntolerance = 1e-5\n[[golden.pairs]]\nquery = "cat"\n')
        file.write(f'document = "dog"\nlogit = {pair.logit}\n')
    with Cascade([Stage(folder, keep=1, instruction="fish")], check_golden=True) as cascade:
        assert cascade.rank("cat", ["dog"])[0].score == pytest.approx(logit("one fish cat", "dog"), rel=1e-6)


def test_texts_with_another_suffix_are_other_tokens(tmp_path: Path) -> None:
    from tiny import make_cross_encoder

    first = make_cross_encoder(tmp_path / "first")
    second = make_cross_encoder(tmp_path / "second", input__query_suffix=" dog")
    with Cascade([Stage(first, keep=2), Stage(second, keep=2)]) as cascade:
        ranking = cascade.rank("cat", ["dog", "red"])
    assert {hit.index: hit.scores for hit in ranking} == {0: (0.0, 1.0), 1: (0.0, 0.0)}


def test_stages_of_weight_nothing_only_cut(tmp_path: Path) -> None:
    from tiny import make_cross_encoder

    folder = make_cross_encoder(tmp_path / "ce")
    with Cascade([Stage(folder, keep=2, weight=0.0), Stage(folder, keep=1, weight=1.0)], fusion="convex") as cascade:
        assert [hit.index for hit in cascade.rank("cat", ["dog", "cat", "cat cat"])] == [1, 0, 2]
