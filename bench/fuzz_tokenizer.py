"""The native WordPiece tokenizer against the tokenizers library, text by text: any difference is an error.

    python bench/fuzz_tokenizer.py --characters 10_000_000

Random texts from all of Unicode, adversarial texts, then every collection in ../shared/data where that folder is
there; under the shipped tokenizer and under variants of it that turn every switch of the normaliser.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cascaderank.model import installed_models
from cascaderank.tokenizer import TextTokenizer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from hard_texts import adversarial_texts, random_texts  # noqa: E402  the folder is on the path only now

_BATCH = 200_000  # characters compared at a time


@dataclass
class Pair:
    """One tokenizer.json, both ways, and what was compared so far."""

    name: str
    native: TextTokenizer
    library: TextTokenizer
    texts: int = 0
    characters: int = 0
    tokens: int = 0
    differences: list[str] = field(default_factory=list)

    def compare(self, texts: list[str]) -> None:
        ours, theirs = self.native.encode_many(texts), self.library.encode_many(texts)
        self.texts += len(texts)
        self.characters += sum(map(len, texts))
        self.tokens += len(theirs.ids)
        if np.array_equal(ours.ids, theirs.ids) and np.array_equal(ours.cu_seqlens, theirs.cu_seqlens):
            return
        for text in texts:
            if not np.array_equal(self.native.encode(text), self.library.encode(text)):
                self.differences.append(text)


def make_pair(name: str, file: dict[str, Any], folder: Path) -> Pair:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    native = TextTokenizer(path, name)
    if not native.native:
        raise SystemExit(f"{name}: {native.description}; there is nothing to compare")
    return Pair(name, native, TextTokenizer(path, name, native=False))


def variants(file: dict[str, Any], folder: Path) -> Iterator[Pair]:
    """Every combination of the normaliser's switches, another limit and no prefix."""
    keys = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    for values in itertools.product((True, False), (True, False), (True, False, None), (True, False)):
        switches = dict(zip(keys, values, strict=True))
        name = "-".join(f"{key}={value}" for key, value in switches.items())
        yield make_pair(name, {**file, "normalizer": {"type": "BertNormalizer", **switches}}, folder)
    for key, value in (("max_input_chars_per_word", 3), ("continuing_subword_prefix", "")):
        yield make_pair(f"{key}={value}", {**file, "model": {**file["model"], key: value}}, folder)


def collections(folder: Path) -> Iterator[tuple[str, Iterator[str]]]:
    for corpus in sorted(folder.glob("*/corpus.jsonl.gz")):
        yield corpus.parent.name, _texts(corpus)


def _texts(corpus: Path) -> Iterator[str]:
    with gzip.open(corpus, "rt", encoding="utf-8") as lines:
        for line in lines:
            document = json.loads(line)
            yield f"{document.get('title', '')} {document['text']}"
    queries = corpus.parent / "queries.jsonl"
    if queries.is_file():
        with queries.open(encoding="utf-8") as lines:
            yield from (json.loads(line)["text"] for line in lines)


def run(pair: Pair, texts: Iterable[str], limit: int | None = None) -> None:
    """Compare texts, in batches, until they end or ``limit`` more characters were compared."""
    batch, held, seen = [], 0, 0
    for text in texts:
        batch.append(text)
        held += len(text)
        if held >= _BATCH or (limit is not None and seen + held >= limit):
            pair.compare(batch)
            seen, batch, held = seen + held, [], 0
            if limit is not None and seen >= limit:
                return
    if batch:
        pair.compare(batch)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=10_000_000, help="of random text, shared among the variants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="collections, BEIR layout")
    parser.add_argument("--tokenizer", type=Path, help="another tokenizer.json than the shipped one")
    arguments = parser.parse_args()
    source = arguments.tokenizer or next(iter(installed_models().values())) / "tokenizer.json"
    file = json.loads(source.read_text(encoding="utf-8"))
    words = list(file["model"]["vocab"])
    with tempfile.TemporaryDirectory() as folder:
        shipped = make_pair("as shipped", file, Path(folder))
        others = list(variants(file, Path(folder)))
        print(f"seed {arguments.seed}; {len(others) + 1} tokenizers")
        run(shipped, adversarial_texts(words))
        report("adversarial", [shipped])
        half = arguments.characters // 2
        run(shipped, random_texts(random.Random(arguments.seed), words), half)
        for number, pair in enumerate(others, start=1):
            run(pair, random_texts(random.Random(arguments.seed + number), words), half // len(others) + 1)
        report("random, as shipped and under every switch", [shipped, *others])
        for name, texts in collections(arguments.data):
            before = shipped.characters
            run(shipped, texts)
            print(f"  {name}: {shipped.characters - before:,} characters", flush=True)
        if not arguments.data.is_dir():
            print(f"no collections: {arguments.data} is missing")
        return report("in all", [shipped, *others])


def report(title: str, pairs: list[Pair]) -> int:
    """Print the totals so far and the first differences; 1 where there is any."""
    total = {key: sum(getattr(pair, key) for pair in pairs) for key in ("texts", "characters", "tokens")}
    wrong = [(pair, text) for pair in pairs for text in pair.differences]
    figures = ", ".join(f"{value:,} {key}" for key, value in total.items())
    print(f"{title}: {figures}, {len(wrong)} differences", flush=True)
    for pair, text in wrong[:5]:
        ours, theirs = pair.native.encode(text).tolist(), pair.library.encode(text).tolist()
        print(f"  {pair.name}: {text[:200]!a}\n    native {ours[:40]}\n    library {theirs[:40]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
