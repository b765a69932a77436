"""``cascaderank profile``: where each millisecond of a request goes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command, open_cascade, positive_integer

if TYPE_CHECKING:
    from cascaderank.evaluate.profile import Profile

_TEXT = """\
Where each millisecond of a request goes, stage by stage and step by step: tokenising and the store, planning and
packing, the model, handing over to threads, collecting and pruning, fusing, and what is left for Python. Medians and
quartiles over many requests, one after another; the steps of one request add up to its time.

Requests are those of `cascaderank bench`: the packaged questions about Python's documentation, or a folder in the
layout of BEIR; BM25 finds the candidates, documents are encoded ahead unless --raw.
"""
_EXAMPLES = """\
  cascaderank profile
  cascaderank profile --requests 200 --json profile.json --plot profile.svg
  cascaderank profile cascade.toml --data beir/scifact --raw
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "profile", "where each millisecond of a request goes", _TEXT, _EXAMPLES)
    parser.add_argument("cascade", metavar="CASCADE.toml", nargs="?", type=Path, help="default: the installed models'")
    parser.add_argument("--data", type=Path, metavar="DIR", help="BEIR folder; default: the packaged questions")
    parser.add_argument("--split", default=None, help="of the queries; default: dev (packaged), test (--data)")
    parser.add_argument("--requests", type=positive_integer, default=40, metavar="N", help="default: 40")
    parser.add_argument("--candidates", type=positive_integer, default=1000, metavar="N", help="default: 1000")
    parser.add_argument("--top", type=positive_integer, default=5, metavar="N", help="hits to read; default: 5")
    parser.add_argument("--raw", action="store_true", help="send texts; nothing is encoded ahead")
    parser.add_argument("--store", type=Path, metavar="FOLDER", help="open this store, or make it")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures")
    parser.add_argument("--plot", type=Path, metavar="OUT", help="write a picture: .png or .svg (matplotlib)")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    import json

    from cascaderank.cli.collection import encode_candidates, read_collection
    from cascaderank.cli.terminal import progress
    from cascaderank.evaluate.bench import describe_cascade, describe_machine
    from cascaderank.evaluate.profile import profile_requests
    from cascaderank.evaluate.profile_plot import check_profile_plot, save_profile_plot
    from cascaderank.evaluate.requests import evenly, make_requests

    if options.raw and options.store is not None:
        options.parser.error("--raw sends texts, --store encoded documents; choose one")
    if options.plot is not None:
        check_profile_plot(options.plot)
    stored = None if options.store is not None else not options.raw
    with open_cascade(options.cascade, stored) as cascade:
        data, what = read_collection(options.data, options.split, "test")
        with progress("first pass: queries") as report:
            requests = evenly(make_requests(data, options.candidates, report), options.requests)
        store = None
        if not options.raw:
            store = encode_candidates(cascade, data, requests, options.store, packaged=options.data is None)
        with progress("requests") as report:
            profile = profile_requests(
                cascade, requests, store, repeats=options.requests, top_n=options.top, progress=report
            )
        described = describe_cascade(cascade)
    _show(profile, what)
    if options.json is not None:
        found = {"machine": describe_machine(), "cascade": described, "data": what, **profile.to_dict()}
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if options.plot is not None:
        save_profile_plot(profile, options.plot)
    return 0


def _show(profile: Profile, what: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from cascaderank.cli.terminal import console
    from cascaderank.evaluate.bench import describe_machine

    screen, machine = console(), describe_machine()
    low, middle, high = profile.total_ms
    screen.print(f"{what}: {profile.requests} requests, median {middle:.1f} ms ({low:.1f} to {high:.1f})")
    screen.print(f"{machine['cores']} cores, {machine['processor'] or machine['machine']}\n", style="dim")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("stage", "step"):
        table.add_column(column, no_wrap=True)
    for column in ("ms", "quartiles", "of a request"):
        table.add_column(column, justify="right", no_wrap=True)
    last = ""
    for step in profile.steps:
        name = "" if step.stage == last else step.stage
        last = step.stage
        table.add_row(
            Text(name), step.name, f"{step.ms:.3f}", f"{step.low:.3f} to {step.high:.3f}", f"{step.share:.2%}"
        )
    screen.print(table)
    low, middle, high = profile.outside_share
    screen.print(f"\noutside session.run: {middle:.2%} of a request ({low:.2%} to {high:.2%})", style="bold")
