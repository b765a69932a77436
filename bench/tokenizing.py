"""Tokenise + pack 100 pairs: cascaderank beside the pair encoding of the tokenizers library.

    python bench/tokenizing.py                     wall time
    python bench/tokenizing.py --clock cpu         processor time of all threads: what a busy machine cannot distort

Texts are of two collections' lengths (wikiqa sentences, scifact abstracts), read from ../shared/data where it is there
and made from the vocabulary otherwise. Rivals make the same rows: one micro-batch of all pairs, documents cut to 512
tokens, input_ids, attention_mask and token_type_ids as int64. Every answer is compared element by element before
anything is timed. The library may use ``--threads`` threads; a request of this size is worth one to cascaderank.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MAX_LENGTH = 512
Call = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=31, help="rounds of all contenders (default 31)")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time of all threads")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--threads", type=int, help="of the library; default: one per core")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    threads = arguments.threads or len(os.sched_getaffinity(0))
    # Read by the tokenizers library when it first starts its threads.
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if threads == 1 else "true"

    from measure import alternate, bar, bar_line, describe, machine, speedup, spread, table, write_json

    from cascaderank.model import installed_models

    file = next(iter(installed_models().values())) / "tokenizer.json"
    found = machine()
    print(describe(found))
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    print(f"{arguments.clock} time; {arguments.pairs} pairs; the library may use {threads} thread(s)")
    rows = [("texts", "contender", "ms", "quartiles", "ours is faster by", "quartiles")]
    results, bars = [], []
    for name in ("wikiqa", "scifact"):
        query, documents, origin = texts(name, arguments.pairs, arguments.data, file)
        contenders, tokens = contenders_for(file, query, documents)
        seconds = alternate(contenders, arguments.repetitions, calls=3, clock=clock)
        label = f"{name} ({origin}), {tokens / arguments.pairs:.0f} tokens a pair"
        for rival in contenders:
            cost = spread(seconds[rival]).scaled(1e3)
            ratio = speedup(seconds, "cascaderank", rival)
            shown = "" if rival.startswith("cascaderank") else f"{ratio.median:.1f}"
            quartiles = "" if rival.startswith("cascaderank") else f"{ratio.low:.1f}-{ratio.high:.1f}"
            rows.append((label, rival, f"{cost.median:.3f}", f"{cost.low:.3f}-{cost.high:.3f}", shown, quartiles))
            results.append(
                {"texts": label, "contender": rival, "ms": cost.median, "ms_quartiles": [cost.low, cost.high],
                 "ratio": ratio.median, "quartiles": [ratio.low, ratio.high]}
            )  # fmt: skip
        for ours, wanted in (("cascaderank", 10.0), ("cascaderank, with a store", 20.0)):
            ratios = [speedup(seconds, ours, rival).median for rival in contenders if rival not in _OURS]
            bars.append(bar(f"{name}: {ours} against the fastest rival", min(ratios), wanted))
    print(table(rows, right={2, 3, 4, 5}))
    for entry in bars:
        print(bar_line(entry))
    write_json(
        arguments.json,
        {"machine": found, "clock": arguments.clock, "threads": threads, "tokenizing": results, "bars": bars},
    )


_OURS = ("cascaderank", "cascaderank, with a store")


def texts(name: str, count: int, data: Path, file: Path) -> tuple[str, list[str], str]:
    """A query, ``count`` documents spread over the collection, and where they are from."""
    corpus = data / name / "corpus.jsonl.gz"
    if corpus.is_file():
        with gzip.open(corpus, "rt", encoding="utf-8") as lines:
            held = [json.loads(line) for line in islice(lines, 5000)]
        chosen = held[:: max(1, len(held) // count)][:count]
        with (data / name / "queries.jsonl").open(encoding="utf-8") as lines:
            query = json.loads(next(lines))["text"]
        return query, [f"{document.get('title', '')} {document['text']}" for document in chosen], "collection"
    generator = random.Random(1)
    words = [word for word in json.loads(file.read_text())["model"]["vocab"] if word.isalpha()]
    mean = {"wikiqa": 28, "scifact": 280}[name]
    lengths = [max(3, int(generator.gauss(mean, mean / 3))) for _ in range(count)]
    documents = [" ".join(generator.choices(words, k=length)) + "." for length in lengths]
    return " ".join(generator.choices(words, k=7)), documents, "made up"


def contenders_for(file: Path, query: str, documents: list[str]) -> tuple[dict[str, Call], int]:
    """The calls to time, checked to give the same tensors, and the tokens of all rows."""
    import numpy as np
    import tokenizers

    from cascaderank.kernels import DOCUMENT, QUERY, PlanRule, Ragged, Template, pack, plan
    from cascaderank.tokenizer import TextTokenizer

    tokenizer = TextTokenizer(file, "bench")
    cls, sep, pad = (tokenizer.token_id(token) for token in ("[CLS]", "[SEP]", "[PAD]"))
    form = Template([cls, QUERY, sep, DOCUMENT, sep], [0, 0, 0, 1, 1], pad, 0, MAX_LENGTH)
    rule, places = PlanRule(1 << 40, len(documents), 1 << 40), np.arange(len(documents))
    names = ("input_ids", "attention_mask", "token_type_ids")

    def packed(tokens: Ragged) -> list[Any]:
        ids = tokenizer.encode(query)
        made = plan(tokens, places, len(ids), form, rule)
        tensors = {name: np.empty(made.tokens, np.int64) for name in names}
        pack(made, ids, tokens, places, form, tensors)
        return [*(tensor.reshape(len(documents), -1) for tensor in tensors.values()), made.order]

    def ours() -> list[Any]:
        return packed(tokenizer.encode_many(documents))

    stored = tokenizer.encode_many(documents)
    library = tokenizers.Tokenizer.from_file(str(file))
    library.enable_truncation(MAX_LENGTH, strategy="only_second")
    library.enable_padding(pad_id=pad, pad_token="[PAD]")

    def arrays(encodings: list[Any]) -> list[Any]:
        columns = ("ids", "attention_mask", "type_ids")
        return [np.array([getattr(encoding, name) for encoding in encodings], np.int64) for name in columns]

    contenders: dict[str, Call] = {
        "cascaderank": ours,
        "cascaderank, with a store": lambda: packed(stored),
        "tokenizers, encode_batch": lambda: arrays(library.encode_batch([(query, text) for text in documents])),
        "tokenizers, encode_batch_fast": lambda: arrays(
            library.encode_batch_fast([(query, text) for text in documents])
        ),
    }
    expected = contenders["tokenizers, encode_batch"]()
    for name, call in contenders.items():
        tensors = call()
        order = tensors.pop() if name in _OURS else places  # longest first, where packing chooses
        if not all(np.array_equal(own, other[order]) for own, other in zip(tensors, expected, strict=True)):
            raise SystemExit(f"{name} gives other tensors than encode_batch; nothing was measured")
    return contenders, int(expected[1].sum())


if __name__ == "__main__":
    main()
