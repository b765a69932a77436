"""The entry point: arguments, exit codes, and errors as one line.

Exit codes: 0 fine; 1 the input, a model or a setting is wrong; 2 usage; 130 interrupted; 141 the reader went away.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import cast

from cascaderank.cli import (
    bench,
    calibrate,
    check,
    demo,
    evaluate,
    export,
    index,
    precision,
    profile,
    rank,
    serve,
    swap,
    tune,
)
from cascaderank.errors import CascadeError

USER_ERROR, INTERRUPTED, BROKEN_PIPE = 1, 130, 141

_DESCRIPTION = """\
Reranking cascades: cheap models on many candidates, expensive ones on the few that survive.

  cascaderank demo                             search Python's own documentation and see every stage at work
  cascaderank rank "a question" docs.jsonl     rank your own documents
  cascaderank index docs.jsonl docs.store      compute tokens and vectors of known documents ahead
  cascaderank check minilm-ce-large            is a model folder (or cascade file) sound?
  cascaderank export MODEL OUT                 make a model folder from a Hugging Face model
  cascaderank bench                            latency, throughput and quality per stage, with percentiles
  cascaderank profile                          where each millisecond of a request goes, step by step
  cascaderank evaluate                         what each stage gains and loses on a labelled collection, with intervals
  cascaderank calibrate MODEL                  probabilities from logits, written into the manifest
  cascaderank tune cascade.toml --data DIR     choose cut-offs for a budget from labelled queries
  cascaderank precision cascade.toml --data DIR   which arithmetic is fastest on this processor, and what it costs
  cascaderank serve cascade.toml               the rerank endpoints that clients know, metrics, models swapped live
  cascaderank swap http://localhost:8100       make a running server load new models, or roll back
"""
_EPILOG = "`cascaderank COMMAND --help` explains a command, with examples."


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cascaderank",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print versions and leave")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in (demo, rank, index, check, export, bench, profile, evaluate, calibrate, tune, precision, serve, swap):
        module.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. argparse ends the process itself for usage errors and help."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot show a character gets its escape, not a traceback; in JSON that is an escape too.
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.version:
        return _print_versions()
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code = cast("int", options.run(options))
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout once more at its end; give it something that takes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        print("cascaderank: interrupted", file=sys.stderr)
        return INTERRUPTED
    except CascadeError as error:
        return _fail(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}")
    return code


def _fail(message: str) -> int:
    print(f"cascaderank: error: {message}", file=sys.stderr)
    return USER_ERROR


def _print_versions() -> int:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from cascaderank import __version__

    runtimes = []
    for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"):
        with contextlib.suppress(PackageNotFoundError):
            runtimes.append(f"{name} {version(name)}")
    print(f"cascaderank {__version__} ({', '.join(runtimes)}; Python {platform.python_version()})")
    return 0
