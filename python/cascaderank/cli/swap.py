"""``cascaderank swap``: make a running server load what lies on disk now, or go back to what served before."""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cascaderank.cli.arguments import add_command, positive_number

_TEXT = """\
Ask a running `cascaderank serve` to load its cascade file and model folders again, and wait until it has: hashes,
golden scores and a smoke pair are checked, and a cascade that is no good changes nothing and ends this with an error.
--rollback puts back what served before, from memory; once more undoes that.

The admin key is the first line of --key-file, or the environment variable CASCADERANK_ADMIN_KEY.
"""
_EXAMPLES = """\
  cascaderank swap http://localhost:8100 --key-file admin.txt
  cascaderank swap http://localhost:8100 --key-file admin.txt --cascade best
  cascaderank swap http://localhost:8100 --key-file admin.txt --rollback
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "swap", "swap a running server's models, or roll back", _TEXT, _EXAMPLES)
    parser.add_argument("url", metavar="URL", help="of the server")
    parser.add_argument("--cascade", metavar="NAME", help="default: the server's first")
    parser.add_argument("--rollback", action="store_true", help="put back what served before")
    parser.add_argument("--key-file", type=Path, metavar="FILE", help="its first line is the admin key")
    parser.add_argument("--timeout-s", type=positive_number, default=600.0, metavar="S", help="default: 600")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cascaderank.errors import ConfigError

    if not options.url.startswith(("http://", "https://")):
        raise ConfigError(f"swap: {options.url!r} is no http:// or https:// address of a server")
    key = os.environ.get("CASCADERANK_ADMIN_KEY", "")
    if options.key_file is not None:
        key = options.key_file.read_text(encoding="utf-8").partition("\n")[0].strip()
    if not key:
        raise ConfigError("swap: no admin key; give --key-file, or set CASCADERANK_ADMIN_KEY")
    what = "rollback" if options.rollback else "reload"
    found = _post(f"{options.url.rstrip('/')}/admin/{what}", key, options.cascade, options.timeout_s)
    print(f"{found['cascade']}: generation {found['generation']} serves, models {', '.join(found['models'])}")
    return 0


def _post(url: str, key: str, cascade: str | None, timeout_s: float) -> dict[str, Any]:
    from cascaderank.errors import CascadeError

    body = json.dumps({} if cascade is None else {"cascade": cascade}).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            return dict(json.load(response))
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode("utf-8", "replace")
        try:
            text = json.loads(text)["message"]
        except (ValueError, KeyError, TypeError):
            text = text[:200] or error.reason
        raise CascadeError(f"swap: {url} answered {error.code}: {text}") from None
    except OSError as error:
        raise CascadeError(f"swap: {url}: {getattr(error, 'reason', error)}; is the server running there?") from None
