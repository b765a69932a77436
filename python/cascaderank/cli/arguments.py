"""What several commands' arguments share. Imports nothing heavy: every start of the program reads it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascaderank.cascade import Cascade


def positive_integer(text: str) -> int:
    """An argparse type."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 1")
    return value


def positive_number(text: str) -> float:
    """An argparse type."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def add_command(commands: Any, name: str, summary: str, text: str, examples: str) -> argparse.ArgumentParser:
    """A command's parser with a description that explains and examples that can be copied."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=text,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def add_cascade(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cascade", type=Path, metavar="FILE", help="cascade file (TOML); default: the installed models' own"
    )


def add_deadline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--deadline-ms",
        type=positive_number,
        metavar="MS",
        help="answer within this time; work that would be late is skipped and the answer says so",
    )


def open_cascade(file: Path | None, stored: bool | None = None) -> Cascade:
    """The cascade of a file, or the default one; ``stored``: where known, whether all documents are in the store."""
    from cascaderank.cascade import Cascade, default_config
    from cascaderank.cli.terminal import busy
    from cascaderank.config import read_config

    with busy("loading models"):
        config = default_config() if file is None else read_config(file)
        return Cascade(config if stored is None else config.for_documents(stored))
