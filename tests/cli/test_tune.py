"""``cascaderank tune`` on synthetic models and a synthetic collection: what it writes, says and refuses."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cascaderank import Cascade, Store, StoreError
from cascaderank.cli.main import main
from cascaderank.config import CascadeConfig, Dynamic, Stage, read_config
from cascaderank.evaluate import load_beir, ndcg
from cascaderank.evaluate.requests import make_requests, ranked_ids
from cascaderank.flow import Flow
from cascaderank.kernels import Choices
from cascaderank.model import load_spec
from cascaderank.outputs import limit_score, min_logit
from cascaderank.schedule import Workers
from cascaderank.tune.file_names import data_digest, score_path, store_path
from cascaderank.tune.page import write_report
from cascaderank.tune.population import source_warnings
from cascaderank.tune.run import FILES
from cascaderank.tune.scores import load_or_encode, score_all
from cascaderank.tune.settings import TuneSettings
from cascaderank.tune.write import chosen_config, write_config
from decoder_graph import make_decoder
from tiny import make_encoder

pytest.importorskip("tomli_w", reason="tune writes cascade files with tomli-w (extra tune)")
WORDS = ("red", "green", "blue", "cat", "dog", "fish", "one", "two", "three", "passage", "query", "sep")


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 queries of two words, 60 documents of six; relevant is who has both words and an even number."""
    folder = tmp_path_factory.mktemp("collection")
    generator = np.random.default_rng(2)
    corpus = {f"d{number}": " ".join(generator.choice(WORDS, 6)) for number in range(60)}
    qrels, queries = ["query-id\tcorpus-id\tscore"], []
    while len(queries) < 80:
        words = generator.choice(WORDS, 2, replace=False).tolist()
        found = [name for name, text in corpus.items() if set(words) <= set(text.split()) and int(name[1:]) % 2 == 0]
        if found:
            name = f"q{len(queries)}"
            queries.append({"_id": name, "text": " ".join(words)})
            qrels += [f"{name}\t{document}\t1" for document in found[:2]]
    rows = [{"_id": name, "title": "", "text": text} for name, text in corpus.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries), encoding="utf-8")
    (folder / "qrels").mkdir()
    (folder / "qrels" / "dev.tsv").write_text("\n".join(qrels) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def two_stages(models: Path) -> Path:
    """The cascade file lies beside the models; what tune writes elsewhere must find them all the same."""
    file = models / "tuned-cascade.toml"
    file.write_text(
        '[cascade]\nfusion = "convex"\nweights = { first = 0.25 }\n'
        '[[stage]]\nmodel = "bi"\nkeep = 20\nweight = 0.5\n[[stage]]\nmodel = "ce"\nkeep = 5\n',
        encoding="utf-8",
    )
    return file


@pytest.fixture(scope="module")
def tuned(collection: Path, two_stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tuned")
    arguments = ["tune", str(two_stages), "--data", str(collection), "--candidates", "30", "--out", str(out)]
    assert main([*arguments, "--max-recall-loss", "0.2", "--budget-ms", "10000"]) == 0
    return out


@pytest.fixture(scope="module")
def found(tuned: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((tuned / "report.json").read_text(encoding="utf-8"))
    return result


def test_the_recommended_cascade_is_what_was_explored(found: dict[str, Any], tuned: Path, collection: Path) -> None:
    """Its file, loaded and run on the held-back queries by hand, ranks as the table said."""
    assert found["check"]["ndcg_differs"] == 0
    assert found["check"]["requests"] == found["settings"]["reporting"] == 40
    data = load_beir(collection, "dev")
    held = {request.query_id: request for request in make_requests(data, 30)}
    with Cascade.load(tuned / "recommended.toml") as cascade:
        assert [stage.keep for stage in cascade.config.stages] == [k for k in found["recommended"]["keeps"] if k]
        values = [
            ndcg(data.qrels[name], ranked_ids(held[name].answer(cascade, None), held[name].ids))
            for name in found["per_query_ids"]
        ]
    assert found["held_back"]["recommended"]["ndcg_10"] == pytest.approx(np.mean(values), abs=1e-6)
    for name, shown in (
        ("best", "best within the budget"),
        ("plateau", "plateau rule"),
        ("exhaustive", "best without cut-offs"),
    ):
        keeps = [stage.keep for stage in read_config(tuned / f"{name}.toml").stages]
        assert keeps == [keep for keep in found["held_back"][shown]["keeps"] if keep]


def test_every_choice_is_reported_on_the_half_that_did_not_choose(found: dict[str, Any]) -> None:
    assert len(found["per_query_ids"]) == 40
    assert set(found["held_back"]) == {
        "first pass alone", "recommended", "best within the budget", "plateau rule", "cascade file",
        "best without cut-offs",
    }  # fmt: skip
    assert found["held_back"]["cascade file"]["keeps"] == [20, 5]
    assert found["held_back"]["first pass alone"]["pairs"] == [0, 0]
    assert [stage["stage"] for stage in found["stages"]] == ["bi", "ce"]
    assert [curve["entering"] for curve in found["curves"]] == [30, found["curves"][0]["chosen"]]
    held = (found["held_back"][name]["ndcg_10"] for name in ("recommended", "first pass alone"))
    assert found["against_first_pass"]["difference"] == pytest.approx(next(held) - next(held), abs=1e-6)
    folds = found["folds"]
    assert (folds["queries"], folds["folds"]) == (80, 5)
    assert sum(choice["folds"] for choice in folds["choices"]) == 5
    times = [row["p50_ms"] for row in found["front"]]
    assert times == sorted(times)
    assert "only 80 labelled queries" in found["warnings"][0]


def test_what_is_timed_is_not_what_is_checked(found: dict[str, Any]) -> None:
    assert len(found["timed_ids"]) == found["settings"]["cost_queries"] == 8
    assert not set(found["timed_ids"]) & set(found["per_query_ids"])


def test_the_certified_cascade_meets_its_promise_here(found: dict[str, Any], tuned: Path) -> None:
    guarantee = found["guarantee"]
    assert guarantee["p_value"] <= 0.05
    assert guarantee["loss"] <= 0.2
    assert not guarantee["cuts_nothing"]
    with Cascade.load(tuned / "certified.toml") as cascade:
        assert [stage.keep for stage in cascade.config.stages] == guarantee["keeps"]


def test_the_page_needs_nothing_else_and_says_the_same(tuned: Path, found: dict[str, Any]) -> None:
    page = (tuned / "report.html").read_text(encoding="utf-8")
    for outside in ("http:", "https:", "src=", "@import", "url(", "<script"):
        assert outside not in page
    assert page.count("<svg") == len(found["curves"]) + 2  # and the front, and the guarantee's path
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert f"{found['held_back']['recommended']['ndcg_10']:.3f}" in page
    assert "$" not in page.split("</style>")[1]


def test_margins_can_be_certified(
    collection: Path, two_stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["tune", str(two_stages), "--data", str(collection), "--candidates", "20", "--queries", "60"]
    more = ["--max-recall-loss", "0.2", "--certify", "margin", "--out", str(tmp_path)]
    assert main([*arguments, *more]) == 0
    printed = capsys.readouterr().out
    for text in (
        "plateau: the interval ends within 0.01",
        "Pareto front",
        "held-back queries",
        "recommended:",
        "certified:",
        "per query:",
    ):
        assert text in printed
    stages = read_config(tmp_path / "certified.toml").stages
    assert all(stage.keep == 20 for stage in stages)


def test_the_files_own_limits_hold_in_its_own_row(
    collection: Path, two_stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is reported of the file is what it does, limits included; what is written has none, and says so."""
    file = two_stages.with_name("limited.toml")
    text = two_stages.read_text(encoding="utf-8")
    file.write_text(
        text.replace("weight = 0.5", "weight = 0.5\nmargin = 0.25").replace(
            "keep = 5", "keep = 5\nmin_score = 1.0\ndynamic = { mass = 0.7, temperature = 2.0 }"
        ),
        encoding="utf-8",
    )
    arguments = ["tune", file, "--data", collection, "--candidates", "20", "--queries", "20", "--out", tmp_path]
    assert main([*map(str, arguments), "--budget-ms", "10000"]) == 0
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    row, names = found["held_back"]["cascade file"], set(found["per_query_ids"])
    data = load_beir(collection, "dev")
    held = [request for request in make_requests(data, 20) if request.query_id in names]
    with Cascade.load(file) as cascade:
        rankings = [request.answer(cascade, None) for request in held]
    values = [
        ndcg(data.qrels[request.query_id], ranked_ids(ranking, request.ids))
        for request, ranking in zip(held, rankings, strict=True)
    ]
    assert row["ndcg_10"] == pytest.approx(np.mean(values), abs=1e-6)
    pairs = [np.mean([ranking.trace.stages[stage].candidates_in for ranking in rankings]) for stage in (0, 1)]
    assert row["pairs"] == pytest.approx(pairs)
    assert pairs[1] < 20  # the margin cuts more than keep does
    assert row["limits"] == ["bi: margin", "ce: min_score, dynamic"]
    assert "limits of the cascade file (bi: margin; ce: min_score, dynamic)" in " ".join(found["warnings"])
    assert "with its limits" in capsys.readouterr().out.replace("\n", " ")
    for stage in read_config(tmp_path / "recommended.toml").stages:
        assert (stage.margin, stage.min_score, stage.dynamic) == (None, None, None)


def test_a_budget_can_be_a_share_of_the_whole(
    collection: Path, two_stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["tune", two_stages, "--data", collection, "--candidates", "20", "--queries", "20", "--out", tmp_path]
    assert main([*map(str, arguments), "--budget-share", "0.5"]) == 0
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    settings, reference = found["settings"], found["budget_reference"]
    assert settings["budget_share"] == 0.5
    assert settings["budget_ms"] == 0.5 * reference["p50_ms"] > 0
    assert set(reference["keeps"]) <= {0, 20} != {0}
    used = " → ".join(name + " 20" for name, keep in zip(("bi", "ce"), reference["keeps"], strict=True) if keep)
    assert f"of {used}, the slowest without cut-offs" in capsys.readouterr().out
    assert "the slowest without cut-offs" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_files_of_trec_with_grades(
    collection: Path, two_stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Grade 1 counts for nDCG alone; an id without a UTF-8 form is an id like others."""
    whole = load_beir(collection, "dev")
    corpus = {("\ud800" if name == "d1" else name): text for name, text in whole.corpus.items()}
    rows = [json.dumps({"_id": name, "text": text}) for name, text in corpus.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
    lines = [f"{name}\t{text}" for name, text in whole.queries.items()]
    (tmp_path / "queries.tsv").write_text("\n".join(lines), encoding="utf-8")
    graded = {name: {one: 1 + place for place, one in enumerate(whole.qrels[name])} for name in whole.queries}
    lines = [f"{name} 0 {one} {grade}" for name, judged in graded.items() for one, grade in judged.items()]
    (tmp_path / "qrels.txt").write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "out"
    arguments = ["tune", two_stages, "--corpus", tmp_path / "corpus.jsonl", "--queries-file", tmp_path / "queries.tsv"]
    arguments += ["--qrels", tmp_path / "qrels.txt", "--relevant-from", "2", "--candidates", "20", "--queries", "30"]
    assert main([*map(str, arguments), "--out", str(out), "--budget-ms", "10000"]) == 0
    found = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert found["data"] == "corpus.jsonl, qrels.txt, BM25"
    names = set(found["per_query_ids"])
    data = whole._replace(corpus=corpus, queries={name: text for name, text in whole.queries.items() if name in names})
    kept, gained = [], []
    with Cascade.load(two_stages) as cascade:
        for request in make_requests(data, 20):
            judged, ranking = graded[request.query_id], request.answer(cascade, None)
            order = ranked_ids(ranking, request.ids)
            gained.append(ndcg(judged, order))
            inside = [judged.get(one, 0) >= 2 for one in order]
            if any(inside):
                kept.append(sum(inside[: ranking.kept]) / sum(inside))
    assert 0 < len(kept) < len(names) == 15
    assert found["population"]["reporting_without_relevant"] == 15 - len(kept)
    assert found["held_back"]["cascade file"]["recall"] == pytest.approx(np.mean(kept))
    assert found["held_back"]["cascade file"]["ndcg_10"] == pytest.approx(np.mean(gained), abs=1e-6)
    assert "queries have no relevant candidate of grade 2 or more" in capsys.readouterr().out


def test_an_id_without_a_utf_8_form_is_shown_as_an_escape(tmp_path: Path, found: dict[str, Any]) -> None:
    lost = [{"query_id": "q\ud800", "query": "red", "relevant": 1, "lost": {"bi": 1}}]
    write_report({**found, "lost": lost}, tmp_path)
    assert r"<td class=left>q\ud800</td>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["lost"] == lost


def test_a_dense_first_pass_and_a_file_that_knows_the_labels(collection: Path, tuned: Path, tmp_path: Path) -> None:
    """The corpus is encoded once for both; a path through cut-offs that labels decided is no path fixed in advance."""
    arguments = ["tune", tuned / "certified.toml", "--data", collection, "--candidates", "10", "--queries", "30"]
    arguments += ["--first-pass", "dense", "--store", tmp_path / "docs.store", "--out", tmp_path / "out"]
    assert main([*map(str, arguments), "--budget-ms", "10000", "--max-recall-loss", "0.3"]) == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert found["data"].endswith(", dev, bi")
    assert len(Store.open(tmp_path / "docs.store")) == 60
    assert not list((tmp_path / "out" / "scores").glob("*.store"))
    assert sum("certified.toml was written by `cascaderank tune`" in text for text in found["warnings"]) == 1
    assert source_warnings(tuned / "certified.toml", TuneSettings()) == []


def test_a_file_written_by_hand_may_be_certified(two_stages: Path, tuned: Path) -> None:
    settings = TuneSettings(max_recall_loss=0.1)
    assert source_warnings(two_stages, settings) == source_warnings(None, settings) == []
    for name in ("recommended", "best", "plateau", "exhaustive", "certified"):
        assert len(source_warnings(tuned / f"{name}.toml", settings)) == 1


def test_the_help_names_every_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["tune", "--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in FILES)


def test_a_store_made_ahead_is_read_and_nothing_is_encoded_again(
    collection: Path, two_stages: Path, tuned: Path, tmp_path: Path
) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    assert main(["index", str(collection / "corpus.jsonl"), str(store), "--cascade", str(two_stages)]) == 0
    arguments = ["tune", str(two_stages), "--data", str(collection), "--candidates", "30", "--budget-ms", "10000"]
    assert main([*arguments, "--store", str(store), "--out", str(out)]) == 0
    assert sorted(file.suffix for file in (out / "scores").iterdir()) == [".npy", ".npy"]
    for file in (out / "scores").iterdir():  # the same scores as with candidates that tune encoded itself
        assert np.array_equal(np.load(file), np.load(tuned / "scores" / file.name))


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--max-recall-loss", "0.01"], 1, "needs 299 queries"),
        (["--max-recall-loss", "1.5"], 2, "not between 0 and 1"),
        (["--queries", "3"], 1, "at least 4 are needed"),
        (["--split", "test"], 1, "no such split"),
        (["--out", __file__], 2, "is not a folder"),
    ],
)
def test_what_cannot_work_is_said_before_the_work(
    more: list[str], code: int, said: str, collection: Path, two_stages: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments = ["tune", str(two_stages), "--data", str(collection), "--out", str(tmp_path / "out"), *more]
    if code == 2:
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
    else:
        assert main(arguments) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Killed(Exception):
    pass


def test_a_killed_scoring_goes_on_where_it_was(collection: Path, two_stages: Path, tmp_path: Path) -> None:
    requests = make_requests(load_beir(collection, "dev"), 10)[:8]
    config = read_config(two_stages)
    with Cascade(config) as cascade:
        store = load_or_encode(cascade, requests, tmp_path)
        expected = [
            {hit.index: hit.scores for hit in request.answer(cascade, store)} for request in requests
        ]  # the file's own cut-offs are above ten candidates for bi; ce keeps the scores of all it saw
    workers = Workers(1)
    flow = Flow(config, workers)

    def kill(done: int, total: int) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        score_all(flow, requests, store, tmp_path, progress=kill)
    files = sorted(tmp_path.glob("*.npy"))
    assert [int(np.isnan(np.load(file)["logit"]).sum()) for file in files] == [50, 50]
    # What is there is not scored again: a mark left in a finished query survives.
    cells = np.load(files[0], mmap_mode="r+")
    kept, cells["logit"][0] = float(cells["logit"][0]), 123.0
    cells.flush()
    scores = score_all(flow, requests, store, tmp_path)
    workers.close()
    assert 123.0 in scores.logits[:, 0]
    scores.logits[scores.logits == 123.0] = kept
    for number in range(len(requests)):
        for index, values in expected[number].items():
            assert scores.logits[:, 10 * number + index].tolist() == pytest.approx(list(values))


def test_another_model_and_other_data_never_meet_these_scores(
    collection: Path, two_stages: Path, models: Path, tmp_path: Path
) -> None:
    requests = make_requests(load_beir(collection, "dev"), 5)[:2]
    make_encoder(tmp_path / "other", max_length=24)
    first = CascadeConfig((Stage(models / "bi", keep=5),))
    for number, (config, asked) in enumerate(
        [(first, requests), (CascadeConfig((Stage(tmp_path / "other", keep=5),)), requests), (first, requests[:1])]
    ):
        workers = Workers(1)
        with Cascade(config) as cascade:
            store = load_or_encode(cascade, asked, tmp_path / "scores")
        score_all(Flow(config, workers), asked, store, tmp_path / "scores")
        workers.close()
        assert len(list((tmp_path / "scores").glob("*.npy"))) == number + 1
    damaged = next((tmp_path / "scores").glob("bi-*.npy"))
    damaged.write_bytes(b"no array")
    workers = Workers(1)
    with Cascade(first) as cascade:
        store = load_or_encode(cascade, requests, tmp_path / "scores")
    flow = Flow(first, workers)
    for asked in (requests, requests[:1]):  # one of the two is the damaged one
        path = score_path(tmp_path / "scores", flow.scorers[0].part, flow.stages[0], data_digest(asked))
        if path == damaged:
            with pytest.raises(StoreError, match="delete it"):
                score_all(flow, asked, store, tmp_path / "scores")
        else:
            score_all(flow, asked, store, tmp_path / "scores")
    workers.close()


@dataclass(frozen=True)
class Elsewhere:
    """A session of another provider, as far as naming a file goes."""

    provider: str


def test_another_arithmetic_never_meets_these_scores(models: Path, tmp_path: Path) -> None:
    """OpenVINO computes the same folder in bfloat16, CUDA sums in another order; a CPU's files keep their old names."""
    plain = Stage(models / "bi", keep=5)
    stages = [plain, Stage(models / "ce", keep=5)]
    rounded = replace(plain, precision="bf16", provider="openvino")
    workers = Workers(1)
    bi, ce = (scorer.part for scorer in Flow(CascadeConfig(tuple(stages)), workers).scorers)
    workers.close()

    def scores(provider: str, stage: Stage) -> Path:
        return score_path(tmp_path, replace(bi, session=Elsewhere(provider)), stage, "data")  # type: ignore[arg-type]

    def vectors(providers: list[str], first: Stage = plain) -> Path:
        return store_path(tmp_path, [bi.spec, ce.spec], [first, stages[1]], providers, "data")

    names = {scores("cpu", plain), scores("cuda", plain), scores("openvino", plain), scores("openvino", rounded)}
    assert len(names) == 4
    before = hashlib.sha256(f"{bi.spec.digest} data False ".encode()).hexdigest()[:16]
    assert scores("cpu", plain).name == f"bi-{before}.npy"
    everywhere = {vectors([provider, "cpu"]) for provider in ("cpu", "cuda", "openvino")}
    assert len({*everywhere, vectors(["openvino", "cpu"], rounded)}) == 4
    assert vectors(["cpu", "cuda"]) == vectors(["cpu", "cpu"])  # what is kept for pairs are tokens
    before = hashlib.sha256(" ".join(["data", *sorted([bi.spec.digest, ce.spec.digest])]).encode()).hexdigest()[:16]
    assert vectors(["cpu", "cpu"]).name == f"encoded-{before}.store"


def test_a_written_cascade_reads_back_as_it_was(models: Path, tmp_path: Path) -> None:
    stages = (
        Stage("bi", keep=20, name='a "name"', weight=0.3, token_budget=512),
        Stage("ce2", keep=10, min_score=0.25, provider="cpu"),
    )
    config = CascadeConfig(stages, fusion="convex", first_weight=0.2, deadline_ms=50.0, base=models)
    with Cascade(config) as cascade:
        specs = cascade.models
    nan = np.full((1, 2), np.nan, np.float32)
    low = np.array([[np.nan, -1.0]], np.float32)
    masses = np.array([[0.75, np.nan]], np.float32)
    choice = Choices(np.array([[8, 4]]), low, nan, masses, np.array([1.5, 1.0], np.float32))
    (tmp_path / "deep").mkdir()
    write_config(chosen_config(config, specs, choice), tmp_path / "deep" / "c.toml", ["one", "two"])
    text = (tmp_path / "deep" / "c.toml").read_text(encoding="utf-8")
    assert text.startswith("# one\n# two\n")
    assert "dynamic = { mass = 0.75, temperature = 1.5 }" in text
    with Cascade.load(tmp_path / "deep" / "c.toml") as cascade:
        first, second = cascade.config.stages
        assert (first.name, first.keep, first.weight, first.token_budget) == ('a "name"', 8, 0.3, 512)
        assert first.dynamic == Dynamic(0.75, 1.5)
        assert second.min_score == pytest.approx(1 / (1 + np.e))  # ce2's score is a probability
        assert (cascade.config.fusion, cascade.config.first_weight, cascade.config.deadline_ms) == ("convex", 0.2, 50.0)
        assert cascade.models == specs
    write_config(chosen_config(config, specs, Choices.fixed(np.array([[0, 4]]))), tmp_path / "d.toml", [])
    assert [os.path.basename(stage.model) for stage in read_config(tmp_path / "d.toml").stages] == ["ce2"]


def test_every_setting_of_a_cascade_comes_back(models: Path, tmp_path: Path) -> None:
    stages = (Stage(models / "ce", keep=3, weight=0.5),)
    config = CascadeConfig(
        stages, fusion="weighted", first_weight=0.25, first_calibration=(2.0, -1.0), early_stop=True, check_golden=True,
        token_cache_mb=3, deadline_ms=70.0, rrf_k=9.0, workers=2, max_candidates=77, truncate_query=True,
        normalisation="min-max",
    )  # fmt: skip
    write_config(config, tmp_path / "all.toml", [])
    found = read_config(tmp_path / "all.toml")
    for item in fields(CascadeConfig):
        if item.name not in ("stages", "base"):
            assert getattr(found, item.name) == getattr(config, item.name), item.name


def test_a_limit_comes_back_through_center_and_temperature(tmp_path: Path) -> None:
    folder = make_decoder(tmp_path / "m", output__score="sigmoid", output__center=2.0, output__temperature=4.0)
    spec = load_spec(folder)
    for logit in (5.0, -3.0, 400.0, -400.0):
        stage = Stage(folder, keep=1, min_score=limit_score(logit, spec))
        back = min_logit(stage, spec, None)
        assert back == pytest.approx(logit, abs=1e-6) or abs(logit) > 100
        assert 0.0 < (stage.min_score or 0.0) < 1.0
