"""``cascaderank serve``: cascades over HTTP, for the clients of Cohere, Jina, Voyage and Text Embeddings Inference."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command, positive_integer, positive_number

if TYPE_CHECKING:
    from cascaderank.serve import Settings

_TEXT = """\
Serve cascades over HTTP: POST /v2/rerank and /v1/rerank (Cohere, Jina, Voyage), /rerank (Text Embeddings Inference),
/health, /ready, /metrics, a page to try a query at / and the API at /docs.

CASCADE is a cascade file, or NAME=FILE; a request's `model` names the cascade, the first is taken where it names none.
Without one the installed models' own is served. Model folders and cascade files may be replaced while it runs: the new
ones are tried in a process that yields to this one (hashes, golden scores, a smoke pair, warm-up), then loaded, and
switched to between two requests; what is no good is refused and what served serves on (`cascaderank swap` does the same
by hand, and rolls back).
SIGTERM drains: /ready says no, requests under way are answered, the process ends with 0.
"""
_EXAMPLES = """\
  cascaderank serve
  cascaderank serve cascade.toml --port 8100 --deadline-ms 200
  cascaderank serve fast=fast.toml best=best.toml --api-key-file keys.txt --admin-key-file admin.txt
  cascaderank serve docs=cascade.toml --store docs=docs.store
  curl -s localhost:8100/v2/rerank -d '{"query": "days in a week", "documents": ["seven", "twelve"]}'
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "serve", "serve cascades over HTTP (extra serve)", _TEXT, _EXAMPLES)
    parser.add_argument("cascades", metavar="CASCADE", nargs="*", help="cascade file, or NAME=FILE")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: this machine only")
    parser.add_argument("--port", type=int, default=8100, help="default: 8100; 0: a free one, which the log says")
    parser.add_argument("--store", action="append", default=[], metavar="NAME=FOLDER", help="a cascade's store")
    keys = parser.add_argument_group("keys")
    keys.add_argument("--api-key-file", type=Path, metavar="FILE", help="keys that may rank, one a line")
    keys.add_argument("--admin-key-file", type=Path, metavar="FILE", help="keys that may reload and roll back")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-queue", type=positive_integer, metavar="N", help="under way per cascade; max_requests, 64"
    )
    limits.add_argument("--max-documents", type=positive_integer, metavar="N", help="candidates of a request; 10000")
    limits.add_argument("--max-body-mb", type=positive_integer, metavar="MB", help="of a request; 32")
    limits.add_argument(
        "--max-reading-mb", type=positive_integer, metavar="MB", help="of bodies being read; 8 of those"
    )
    limits.add_argument("--deadline-ms", type=positive_number, metavar="MS", help="where nobody says another")
    limits.add_argument("--timeout-s", type=positive_number, metavar="S", help="until an answer; 60")
    limits.add_argument("--send-timeout-s", type=positive_number, metavar="S", help="for a client to read it; 60")
    limits.add_argument("--header-timeout-s", type=positive_number, metavar="S", help="for a request to begin; 10")
    limits.add_argument("--keep-alive-s", type=positive_number, metavar="S", help="idle between two requests; 30")
    limits.add_argument("--body-timeout-s", type=positive_number, metavar="S", help="for its body to arrive; 10")
    running = parser.add_argument_group("running")
    running.add_argument("--watch-s", type=float, metavar="S", help="between looks for changed files; 1, 0: never")
    running.add_argument(
        "--forget-previous", action="store_true", help="free a replaced cascade's memory; no rolling back"
    )
    running.add_argument(
        "--no-trial", action="store_true", help="try new models in this process, not first in one of their own"
    )
    running.add_argument("--drain-delay-s", type=float, metavar="S", help="serve on so long after SIGTERM; 0")
    running.add_argument("--drain-s", type=float, metavar="S", help="then wait for requests under way; 30")
    running.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cascaderank.serve import run as serve

    serve(settings_of(options), options.host, options.port, log_level=options.log_level)
    return 0


def settings_of(options: argparse.Namespace) -> Settings:
    """Raises ``ConfigError`` for what does not fit together."""
    from cascaderank.errors import ConfigError
    from cascaderank.serve import Settings

    cascades: dict[str, Path | None] = {}
    for given in options.cascades:
        name, is_named, file = given.partition("=")
        name, file = (name, file) if is_named else (Path(given).stem, given)
        if name in cascades:
            raise ConfigError(f"serve: two cascades of the name {name!r}; give one another as NAME=FILE")
        cascades[name] = Path(file)
    stores = {}
    for given in options.store:
        name, _, folder = given.rpartition("=")
        stores[name or next(iter(cascades), "default")] = Path(folder)
    chosen: dict[str, Any] = {
        key: getattr(options, key)
        for key in ("max_queue", "max_documents", "deadline_ms", "timeout_s", "header_timeout_s", "keep_alive_s",
                    "body_timeout_s", "send_timeout_s", "watch_s",
                    "drain_delay_s", "drain_s")
        if getattr(options, key) is not None
    }  # fmt: skip
    if options.max_body_mb is not None:
        chosen["max_body_bytes"] = options.max_body_mb << 20
    if options.max_reading_mb is not None:
        chosen["max_reading_bytes"] = options.max_reading_mb << 20
    return Settings(
        cascades=cascades or {"default": None},
        stores=stores,
        api_keys=_keys(options.api_key_file),
        admin_keys=_keys(options.admin_key_file),
        keep_previous=not options.forget_previous,
        trial=not options.no_trial,
        **chosen,
    )


def _keys(file: Path | None) -> tuple[str, ...]:
    """One a line; empty lines and those that begin with # are none. A file without keys is an error: it would let
    everybody in."""
    if file is None:
        return ()
    from cascaderank.errors import ConfigError

    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise ConfigError(f"{file}: no keys; put one on each line")
    return keys
