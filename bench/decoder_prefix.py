"""What sharing the part before the document saves a decoder: ``python bench/decoder_prefix.py`` (export extra).

A randomly initialised Qwen3 model reads 20 documents of 100 tokens behind 200 tokens of instruction and query: each row
whole, and with keys and values of the first part computed once. Scores must agree within 1e-4.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from measure import alternate, describe, machine, speedup, table, write_json

from cascaderank.config import Stage
from cascaderank.golden import make_request
from cascaderank.model import find_folder
from cascaderank.schedule import Workers
from cascaderank.stages import Counts, Decoder, Loader

TEMPLATE = """\
before = ["[CLS]"]
document_prefix = "document: "
after = ["[SEP]"]
yes = "yes"
no = "no"
score = "sigmoid"
tokenised = "pieces"
"""
WORDS = [
    "the",
    "river",
    "bank",
    "was",
    "wide",
    "and",
    "the",
    "water",
    "cold",
    "when",
    "they",
    "came",
    "down",
    "from",
    "the",
    "hills",
    "in",
    "autumn",
]


def make_model(folder: Path, layers: int, hidden: int) -> Path:
    """A model folder around random weights and the shipped models' tokenizer."""
    import torch
    import transformers

    from cascaderank.export import export_model

    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(find_folder("minilm-bi") / "tokenizer.json"), pad_token="[PAD]", unk_token="[UNK]"
    )
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(hidden // 128, 1),
        head_dim=64,
        intermediate_size=3 * hidden,
        max_position_embeddings=512,
        initializer_range=0.1,
    )
    torch.manual_seed(0)
    transformers.Qwen3ForCausalLM(config).save_pretrained(folder / "source")
    tokenizer.save_pretrained(folder / "source")
    (folder / "plain.toml").write_text(TEMPLATE, encoding="utf-8")
    export_model(folder / "source", folder / "model", template=str(folder / "plain.toml"))
    return folder / "model"


def text(tokens: int, shift: int) -> str:
    """So many words, each one token."""
    return " ".join(WORDS[(place + shift) % len(WORDS)] for place in range(tokens))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--prefix", type=int, default=200, help="tokens before the document")
    parser.add_argument("--documents", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=100, help="tokens of a document and what follows it")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", metavar="OUT")
    options = parser.parse_args()
    query = text(options.prefix - 1, 0)
    documents = [text(options.tokens - 3, shift) for shift in range(options.documents)]
    everybody = np.arange(options.documents)
    print(describe(machine()))
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_model(Path(scratch), options.layers, options.hidden)
        for count in options.workers:
            workers = Workers(count)
            part = Loader(workers, None).load(Stage(folder, keep=options.documents, provider="cpu")).part
            scores: dict[str, np.ndarray] = {}
            tokens: dict[str, int] = {}

            def score(name: str, stage: Decoder, scores=scores, tokens=tokens) -> None:  # type: ignore[no-untyped-def]
                counts = Counts()
                scored = stage.score(make_request(query, documents), everybody, counts)
                values = np.empty(options.documents, np.float32)
                values[scored.positions] = scored.outputs
                scores[name], tokens[name] = values, counts.tokens

            stages = {"whole rows": Decoder(part, share=False), "shared prefix": Decoder(part)}
            seconds = alternate(
                {name: lambda name=name, stage=stage: score(name, stage) for name, stage in stages.items()},
                options.repetitions,
            )
            workers.close()
            apart = float(np.abs(scores["whole rows"] - scores["shared prefix"]).max())
            if apart > 1e-4:
                raise SystemExit(f"scores differ by {apart:.2g}")
            ratio = speedup(seconds, "shared prefix", "whole rows")
            found[count] = {"ratio": ratio.median, "low": ratio.low, "high": ratio.high, "max_abs_diff": apart}
            rows.append(
                [str(count), str(tokens["whole rows"]), str(tokens["shared prefix"]),
                 f"{ratio.median:.2f} ({ratio.low:.2f}-{ratio.high:.2f})", f"{apart:.1e}"]
            )  # fmt: skip
    print(
        table([["workers", "tokens whole", "tokens shared", "whole rows' time / shared prefix's", "max |diff|"], *rows])
    )
    write_json(options.json, {"machine": machine(), "settings": vars(options), "found": found})


if __name__ == "__main__":
    main()
