"""Does a cascade grow? ``python bench/memory.py --requests 100000``

A two-stage cascade of tiny random models (made by another process; real tokenizer, real sessions) answers requests of 1
to 20 documents of 1 to 40 words: by texts, by ids of a store, with and without a deadline. Resident memory, threads and
open files are sampled; growth is from the mean of the samples between 10 and 20 % of the run to that of its last tenth.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from measure import bar, bar_line, describe, machine, write_json

from cascaderank import Cascade, Stage

_SAMPLES = 200
_WANTED = 0.01
_WORDS = ["read", "write", "file", "line", "path", "memory", "list", "dict", "sort", "key", "value", "thread", "queue"]


def resident_kb() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def make_models(base: Path) -> None:
    """A bi-encoder and a cross-encoder: BERT of one layer and 32 dimensions, random weights, through the exporter."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

    from cascaderank.export import export_model
    from cascaderank.model import find_folder

    torch.manual_seed(0)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(find_folder("minilm-bi") / "tokenizer.json"), unk_token="[UNK]", pad_token="[PAD]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]", model_max_length=128,
    )  # fmt: skip
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, num_labels=1,
    )  # fmt: skip
    for kind, model in (("bi_encoder", BertModel(config)), ("cross_encoder", BertForSequenceClassification(config))):
        source = base / f"{kind}-source"
        model.save_pretrained(source)
        tokenizer.save_pretrained(source)
        extra = {"pooling": "mean", "normalize": True} if kind == "bi_encoder" else {"score": "none"}
        export_model(source, base / kind, kind=kind, max_length=128, recipe="bench/memory.py", **extra)  # type: ignore[arg-type]


def texts(count: int, random: np.random.Generator) -> list[str]:
    return [" ".join(random.choice(_WORDS, int(length))) for length in random.integers(1, 41, count)]


def run(cascade: Cascade, requests: int) -> dict[str, list[int]]:
    random = np.random.default_rng(0)
    documents = [{"id": str(place), "text": text} for place, text in enumerate(texts(500, random))]
    store = cascade.encode(documents)
    cascade.warm_up()
    every = max(requests // _SAMPLES, 1)
    found: dict[str, list[int]] = {"request": [], "resident_kb": [], "files": [], "threads": []}
    for number in range(requests):
        count, start = int(random.integers(1, 21)), int(random.integers(0, 480))
        some = documents[start : start + count]
        deadline = 20.0 if number % 5 == 4 else None
        if number % 2:
            ids = [document["id"] for document in some]
            cascade.rank("sort a list", ids=ids, store=store, deadline_ms=deadline)
        else:
            cascade.rank(some[0]["text"], some, top_n=5, deadline_ms=deadline)
        if number % every == every - 1:
            found["request"].append(number + 1)
            found["resident_kb"].append(resident_kb())
            found["files"].append(len(os.listdir("/proc/self/fd")))
            found["threads"].append(threading.active_count())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="keep the tiny models here and find them again")
    parser.add_argument("--json", help="write the samples to this file")
    arguments = parser.parse_args()
    described = machine()
    print(describe(described))
    with tempfile.TemporaryDirectory() as scratch:
        base = arguments.folder or Path(scratch)
        folders = (base / "bi_encoder", base / "cross_encoder")
        if not all((folder / "model.toml").is_file() for folder in folders):
            maker = multiprocessing.get_context("spawn").Process(target=make_models, args=(base,))
            maker.start()  # apart, so that torch's memory does not hide what grows here
            maker.join()
        with Cascade([Stage(folders[0], keep=10), Stage(folders[1], keep=3)]) as cascade:
            begun = time.perf_counter()
            found = run(cascade, arguments.requests)
            seconds = time.perf_counter() - begun
    size = np.array(found["resident_kb"], np.float64)
    tenth = max(len(size) // 10, 1)
    early, late = float(size[tenth : 2 * tenth].mean()), float(size[-tenth:].mean())
    growth = late / early - 1
    sizes = f"{early / 1024:.1f} MiB resident early, {late / 1024:.1f} late"
    print(f"{arguments.requests} requests in {seconds:.0f} s: {sizes}")
    print(f"open files {found['files'][tenth]} early, {found['files'][-1]} at the end; threads {found['threads'][-1]}")
    entry = bar("growth of resident memory", growth, _WANTED, at_least=False)
    print(bar_line(entry))
    if found["files"][-1] > found["files"][tenth]:
        raise SystemExit("open files grew")
    write_json(arguments.json, {"machine": described, "seconds": seconds, "samples": found, "bars": [entry]})


if __name__ == "__main__":
    main()
