"""Randomly initialised causal models of the real architectures, with tokenizers of the real types, small enough for a
test. Weights are drawn wide, so that logits differ between pairs by far more than any tolerance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from cascaderank.export.decoders.template import FOLDER
from cascaderank.export.extras import quiet
from export.tiny_hf import CORPUS

TEMPLATES = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.toml"))]
TEXTS = [*CORPUS, *TEMPLATES * 4, *["yes no Yes No", "yes", "no", "Yes", "No", " yes", " no", "0", "1"] * 40]
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.2,
}
# The pattern that Qwen2's tokenizer splits by.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def chat_ml(limit: int) -> Any:
    """Qwen's: byte-level BPE, NFC, ChatML's markers; no token stands at the start."""
    inner = Tokenizer(models.BPE())
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, initial_alphabet=alphabet)
    inner.train_from_iterator(TEXTS, trainer)
    inner.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=limit, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def gemma_bpe(limit: int) -> Any:
    """Gemma's: BPE over SentencePiece's word boundary without a prefix, bytes for what is unknown."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    inner = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    inner.train_from_iterator(
        [text.replace(" ", " ▁") for text in TEXTS], trainers.BpeTrainer(vocab_size=900, special_tokens=special)
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=limit, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>",
        unk_token="<unk>", model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def sentence_piece(limit: int) -> Any:
    """T5's: Unigram over SentencePiece's word boundary, </s> at the end."""
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    texts = [*TEXTS, *["true", "false", "Relevant:", "Query: Document:"] * 40]
    inner.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>"))
    learned = [(piece, score) for piece, score in json.loads(inner.to_str())["model"]["vocab"]]
    learned += [(piece, -2.0) for piece in ("▁true", "▁false") if piece not in dict(learned)]  # T5 has both
    inner.model = models.Unigram(learned, unk_id=2)
    inner.decoder = decoders.Metaspace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=limit, eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def config_of(model_type: str, tokenizer: Any, positions: int, **settings: Any) -> Any:
    if model_type == "t5":
        return transformers.T5Config(
            vocab_size=len(tokenizer) + 5, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_decoder_layers=2, num_heads=4,
            initializer_factor=1.0, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, **settings,
        )  # fmt: skip
    classes = {
        "qwen2": transformers.Qwen2Config,
        "qwen3": transformers.Qwen3Config,
        "llama": transformers.LlamaConfig,
        "mistral": transformers.MistralConfig,
        "gemma": transformers.GemmaConfig,
    }
    if model_type in ("qwen3", "gemma"):
        settings = {"head_dim": 16, **settings}
    return classes[model_type](
        vocab_size=len(tokenizer), max_position_embeddings=positions, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, **(SHAPE | settings),
    )  # fmt: skip


def save_decoder(
    folder: Path, model_type: str, positions: int = 512, *, classifier: bool = False, **settings: Any
) -> None:
    """A folder as save_pretrained writes it."""
    tokenizer = {"gemma": gemma_bpe, "t5": sentence_piece}.get(model_type, chat_ml)(positions)
    if classifier:
        settings["num_labels"] = 1
    config = config_of(model_type, tokenizer, positions, **settings)
    torch.manual_seed(0)
    loader = transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModelForCausalLM
    loader = transformers.AutoModelForSeq2SeqLM if model_type == "t5" else loader
    with quiet():
        model = loader.from_config(config, attn_implementation="eager")
        model.eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
