"""``cascaderank calibrate``: probabilities for a model's logits, or weights for a cascade's fusion."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command
from cascaderank.cli.evaluate import add_collection, add_report, check_outputs

if TYPE_CHECKING:
    from cascaderank.calibrate import LabelledPairs, MethodResult
    from cascaderank.evaluate.requests import Request
    from cascaderank.model import ModelSpec
    from cascaderank.stages import Scorer

_TEXT = """\
Fit a model's calibration, from logit to the probability that a document is relevant, and write it into its manifest.

Temperature, Platt, beta and isotonic are fitted; cross-validation by query picks the one of least log loss. Shown are
calibration error, Brier score and log loss on queries held back, before and after. A calibration that does not halve
the error there is not written unless --force. It is bound to the model: another model file, and it is refused.

Of a cascade file (.toml) with calibrated models the weights of fusion "weighted" are learned instead: logistic
regression on the log-odds of all stages and the first pass, written to --out. Needs the extra `evaluate`.
"""
_EXAMPLES = """\
  cascaderank calibrate models/my-reranker --data beir/scifact --split train --candidates 50
  cascaderank calibrate minilm-ce-large --data lists --pairs judged --relevant-from 2 --report reliability.html
  cascaderank calibrate models/my-reranker --data beir/scifact --split train --dry-run
  cascaderank calibrate cascade.toml --data beir/scifact --split train --out weighted.toml
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "calibrate", "probabilities from logits, weights for fusion", _TEXT, _EXAMPLES)
    parser.add_argument("target", metavar="FOLDER_OR_NAME", help="or a cascade file (.toml)")
    add_collection(parser)
    parser.set_defaults(candidates=100)
    parser.add_argument(
        "--pairs", choices=("first-pass", "judged"), default="first-pass",
        help="candidates of the first pass (what was not judged is not relevant), or judged documents alone",
    )  # fmt: skip
    parser.add_argument("--method", choices=("temperature", "platt", "beta", "isotonic"), help="default: the best")
    parser.add_argument(
        "--instruction", metavar="TEXT", help="what the model is told; it holds for stages that say the same"
    )
    parser.add_argument("--force", action="store_true", help="write it though it does not help")
    parser.add_argument("--dry-run", action="store_true", help="fit and report, write nothing")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures")
    add_report(parser)
    parser.add_argument("--out", type=Path, metavar="OUT.toml", help="of a cascade file: where the weights go")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    check_outputs(options.parser, options.json, options.report, options.out)
    if options.target.endswith(".toml"):
        if options.report is not None:
            options.parser.error("--report is for a model folder; fusion weights are reported on screen and by --json")
        if options.instruction is not None:
            options.parser.error("--instruction is for a model folder; a cascade's stages have their own")
        from cascaderank.cli.calibrate_weights import run_weights

        return run_weights(options)
    return _calibrate(options)


def _calibrate(options: argparse.Namespace) -> int:
    from cascaderank.calibrate import choose_method, compare_methods
    from cascaderank.calibrate.choose import helps
    from cascaderank.calibrate.extras import require
    from cascaderank.calibrate.page import calibration_page
    from cascaderank.cli.calibrate_show import describe, show_methods
    from cascaderank.cli.terminal import busy, console, say
    from cascaderank.evaluate.report.html import write_json, write_page
    from cascaderank.model import find_folder

    for module in ("tomlkit", "scipy.optimize", "sklearn.isotonic"):
        require(module)  # what is missing is said before the work
    screen = console()
    folder = find_folder(options.target)
    with busy("loading the model"):
        scorer, close = _open_scorer(folder, options.instruction)
    try:
        requests, qrels, what = _requests(options)
        pairs = _score(scorer, requests, qrels, options.relevant_from)
    finally:
        close()
    results = compare_methods(pairs)
    chosen = choose_method(results) if options.method is None else _named(results, options.method)
    spec = scorer.part.spec
    fitted_on = {
        "data": what,
        "queries": len(set(pairs.queries.tolist())),
        "pairs": len(pairs.labels),
        "relevant": int(pairs.labels.sum()),
        "relevant_from": options.relevant_from,
        **({} if options.instruction is None else {"instruction": options.instruction}),
    }
    show_methods(screen, spec.name, fitted_on, results, chosen.method)
    useful = helps(results[0].held_back, chosen.held_back)
    report = describe(spec, fitted_on, results, chosen.method, useful)
    if options.json is not None:
        write_json(report, options.json)
    if options.report is not None:
        write_page(calibration_page(report), options.report)
    if not useful:
        say("cascaderank: calibration does not halve the error on queries held back; the raw score is kept")
    if options.dry_run or not (useful or options.force):
        return 0
    _write(spec, pairs, chosen, fitted_on, results)
    return 0


def _open_scorer(folder: Path, instruction: str | None) -> tuple[Scorer, Any]:
    """The model as a stage runs it, and what ends its threads."""
    from cascaderank.config import Stage
    from cascaderank.schedule import Workers
    from cascaderank.stages import Loader

    workers = Workers()
    try:
        return Loader(workers, None).load(Stage(folder, keep=1, instruction=instruction)), workers.close
    except BaseException:
        workers.close()
        raise


def _requests(options: argparse.Namespace) -> tuple[list[Request], dict[str, dict[str, int]], str]:
    from cascaderank.calibrate.pairs import judged_only
    from cascaderank.cli.labelled import read_judgements, read_labelled
    from cascaderank.evaluate.requests import evenly

    if options.pairs == "judged":
        data, what = read_judgements(options)
        requests = judged_only(data)
        if options.queries is not None:
            requests = evenly(requests, options.queries)
        return requests, data.qrels, f"{what}, judged documents"
    labelled = read_labelled(options, None)
    return labelled.requests, labelled.qrels, f"{labelled.what}, first {options.candidates}"


def _score(
    scorer: Scorer, requests: list[Request], qrels: dict[str, dict[str, int]], relevant_from: int
) -> LabelledPairs:
    from cascaderank.calibrate.pairs import score_pairs
    from cascaderank.cli.terminal import progress

    with progress("scoring: queries") as report:
        return score_pairs(scorer, requests, qrels, relevant_from, report)


def _named(results: list[MethodResult], method: str) -> MethodResult:
    return next(result for result in results if result.method == method)


def _write(
    spec: ModelSpec,
    pairs: LabelledPairs,
    chosen: MethodResult,
    fitted_on: dict[str, Any],
    results: list[MethodResult],
) -> None:
    from cascaderank.calibrate import fit
    from cascaderank.calibrate.choose import FOLDS
    from cascaderank.calibrate.write import significant, write_calibration
    from cascaderank.evaluate.reliability import BINS

    measured: dict[str, Any] = {"folds": FOLDS, "bins": BINS}
    for when, result in (("before", results[0]), ("after", chosen)):
        for name in ("ece", "brier", "log_loss"):
            measured[f"{name}_{when}"] = significant(getattr(result.held_back, name))
    write_calibration(spec, fit(chosen.method, pairs.logits, pairs.labels), fitted_on, measured)
    print(f"written: [calibration] of {spec.folder / 'model.toml'}")
