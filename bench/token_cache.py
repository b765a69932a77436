"""What a cache of tokenised texts costs and saves, before the native tokenizer and before the library.

    python bench/token_cache.py

100 documents at a time. "miss": a cache that knows none of them; "hit": one that knows them all. Processor time of all
threads, in alternation; every answer is compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import alternate, describe, machine, speedup, spread, table, write_json
from tokenizing import ROOT, texts

from cascaderank.model import installed_models
from cascaderank.token_cache import TokenCache
from cascaderank.tokenizer import TextTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=31, help="rounds of all contenders (default 31)")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    file = next(iter(installed_models().values())) / "tokenizer.json"
    found = machine()
    print(describe(found))
    rows, results = [("texts", "tokenizer", "case", "ms", "of the time without", "quartiles")], []
    for name in ("wikiqa", "scifact"):
        _, documents, origin = texts(name, 100, arguments.data, file)
        for native in (True, False):
            tokenizer = TextTokenizer(file, "bench", native=native)
            contenders = contenders_for(tokenizer, documents)
            calls = 10 if native else 1
            seconds = alternate(contenders, arguments.repetitions, calls=calls, clock=time.process_time)
            for case in contenders:
                cost, share = spread(seconds[case]).scaled(1e3), speedup(seconds, "without", case)
                label = (f"{name} ({origin})", "native" if native else "library", case)
                rows.append((*label, f"{cost.median:.3f}", f"{share.median:.2f}", f"{share.low:.2f}-{share.high:.2f}"))
                results.append({"case": label, "ms": cost.median, "share": share.median})
    print(table(rows, right={3, 4, 5}))
    write_json(arguments.json, {"machine": found, "token_cache": results})


def contenders_for(tokenizer: TextTokenizer, documents: list[str]) -> dict[str, Callable[[], Any]]:
    full = TokenCache(1 << 28)
    full.encode(documents, tokenizer.encode_many)
    contenders: dict[str, Callable[[], Any]] = {
        "without": lambda: tokenizer.encode_many(documents),
        "miss": lambda: TokenCache(1 << 28).encode(documents, tokenizer.encode_many),
        "hit": lambda: full.encode(documents, tokenizer.encode_many),
    }
    expected = contenders["without"]()
    for name, call in contenders.items():
        answer = call()
        if not (np.array_equal(answer.ids, expected.ids) and np.array_equal(answer.cu_seqlens, expected.cu_seqlens)):
            raise SystemExit(f"{name} gives other tokens; nothing was measured")
    return contenders


if __name__ == "__main__":
    main()
