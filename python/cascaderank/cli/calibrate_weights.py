"""``cascaderank calibrate CASCADE.toml``: the weights of fusion `weighted`, learned on a labelled collection."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path


def run_weights(options: argparse.Namespace) -> int:
    """Learn and report; write to ``--out`` unless it is a dry run."""
    from cascaderank.calibrate.extras import require
    from cascaderank.calibrate.weights import collect_scores, learn_weights
    from cascaderank.calibrate.write import write_weights
    from cascaderank.cascade import Cascade
    from cascaderank.cli.labelled import read_labelled
    from cascaderank.cli.terminal import busy, progress, say
    from cascaderank.config import read_config

    if options.out is None and not options.dry_run:
        options.parser.error("--out OUT.toml says where the cascade with its weights goes (or --dry-run)")
    for module in ("tomlkit", "scipy.optimize"):
        require(module)
    source = Path(options.target)
    # Documents are encoded ahead here, so stages for bare texts would only be skipped, and nothing learned of them.
    whole = read_config(source)
    config = replace(whole.for_documents(True), deadline_ms=None, early_stop=False)
    with busy("loading models"):
        cascade = Cascade(config)
    with cascade:
        labelled = read_labelled(options, cascade)
        store = labelled.store or labelled.encode(cascade, options.store)
        with progress("scoring: queries") as report:
            scores = collect_scores(cascade, labelled.requests, labelled.qrels, store, options.relevant_from, report)
        names = cascade.names
    learned = learn_weights(scores)
    print(
        f"{labelled.what}: {learned.queries} queries, {learned.pairs} pairs that every stage scored, "
        f"{learned.relevant} of them relevant"
    )
    print("log loss by cross-validation, the models' calibrations as they are, scale and intercept fitted anew:")
    print(f"{names[-1]} alone {learned.last_log_loss:.4f}, weighted {learned.weighted_log_loss:.4f}")
    weight, a, b = learned.first
    print(f"first pass: weight {weight:.3f}, log-odds {a:.4g} * score {b:+.4g}")
    for name, share in zip(names, learned.stages, strict=True):
        print(f"{name}: weight {share:.3f}")
    if learned.weighted_log_loss >= learned.last_log_loss:
        say("cascaderank: note: the weighted sum is no better than the last stage alone; fusion = 'last' is simpler")
    if options.json is not None:
        import json

        options.json.write_text(
            json.dumps({"data": labelled.what, **asdict(learned)}, indent=1) + "\n", encoding="utf-8"
        )
    if not options.dry_run:
        shares = iter(learned.stages)
        weights = [next(shares) if stage.stored in (None, True) else None for stage in whole.stages]
        write_weights(source, options.out, weights, learned.first)
        print(f"written: {options.out}")
    return 0
