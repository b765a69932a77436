"""Randomly initialised models of the real architectures with tokenizers of the real types, small enough for a test.

Weights are drawn wide, so that logits differ between pairs by far more than any tolerance and a wrong switch shows.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from cascaderank.export import write_manifest
from cascaderank.export.extras import quiet
from cascaderank.model import MANIFEST

CORPUS = [
    "how do I sort a dictionary by value in the order of items",
    "water boils at about ninety three degrees at an altitude of two thousand metres",
    "the quick brown fox jumps over the lazy dog near the river bank while it rains",
    "def f(x): return x * 2  # 3.14 and 1,000,000",
    "東京は日本の首都であり 今日の天気は晴れ",
    "Смысл жизни в философии",
    "Die Straßenbahn fährt über die Größenbrücke",
] * 3

UNK = "[UNK]"
POOLING = "sentence_transformers.models.Pooling"
DENSE = "sentence_transformers.models.Dense"
NORMALIZE = ("sentence_transformers.models.Normalize", {}, {})
IDENTITY = "torch.nn.modules.linear.Identity"
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.25,
}


def word_piece(limit: int) -> Any:
    """BERT's: lower-cased, accents stripped, [CLS] [SEP] [PAD] [MASK]."""
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", "[unused1]"]
    inner.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    inner.decoder = decoders.WordPiece()
    return transformers.BertTokenizerFast(tokenizer_object=inner, model_max_length=limit)


def byte_level(limit: int) -> Any:
    """ModernBERT's: byte-level BPE with BERT's special tokens."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    inner.train_from_iterator(CORPUS, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    inner.decoder = decoders.ByteLevel()
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=limit,
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )


def roberta_bpe(limit: int) -> Any:
    """RoBERTa's: byte-level BPE, <s> <pad> </s> <unk>, two separators between the texts."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    inner.train_from_iterator(CORPUS, trainer)
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return transformers.RobertaTokenizerFast(tokenizer_object=inner, model_max_length=limit)


def unigram(limit: int) -> Any:
    """XLM-R's: Unigram over SentencePiece's word boundary, <s> 0, <pad> 1, </s> 2, <unk> 3."""
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" {2,}", " ")])
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    inner.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>")
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    inner.decoder = decoders.Metaspace()
    return transformers.XLMRobertaTokenizerFast(tokenizer_object=inner, model_max_length=limit)


def qwen(limit: int) -> Any:
    """Qwen's: byte-level BPE over its own pre-tokenisation; <|endoftext|> ends a text and pads it on the left."""
    inner = Tokenizer(models.BPE())
    inner.normalizer = normalizers.NFC()
    words = Regex(r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+")
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    inner.post_processor = processors.TemplateProcessing(
        single="$A <|endoftext|>", pair="$A $B <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
    )
    inner.decoder = decoders.ByteLevel()
    return transformers.Qwen2TokenizerFast(
        tokenizer_object=inner,
        model_max_length=limit,
        padding_side="left",
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
    )


def llama(limit: int, **settings: Any) -> Any:
    """Mistral's: BPE that falls back to bytes, over SentencePiece's word boundary; <s> and </s> around a text."""
    inner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>"]
    inner.train_from_iterator(CORPUS[:4], trainers.BpeTrainer(vocab_size=300, special_tokens=special))
    state = json.loads(inner.to_str())["model"]
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    vocabulary = state["vocab"] | {token: len(state["vocab"]) + place for place, token in enumerate(bytes_)}
    merges = [tuple(merge) for merge in state["merges"]]
    inner.model = models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return transformers.LlamaTokenizerFast(
        tokenizer_object=inner, model_max_length=limit, legacy=False, **({"add_eos_token": True} | settings)
    )


def bert(positions: int = 64, **settings: Any) -> tuple[Any, Any]:
    tokenizer = word_piece(positions)
    config = transformers.BertConfig(vocab_size=len(tokenizer), max_position_embeddings=positions, **(SHAPE | settings))
    return config, tokenizer


def electra(positions: int = 64, **settings: Any) -> tuple[Any, Any]:
    tokenizer = word_piece(positions)
    config = transformers.ElectraConfig(
        vocab_size=len(tokenizer), max_position_embeddings=positions, embedding_size=16, **(SHAPE | settings)
    )
    return config, tokenizer


def distil_bert(positions: int = 64) -> tuple[Any, Any]:
    tokenizer = word_piece(positions)
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
        initializer_range=0.25,
    )
    return config, tokenizer


def mpnet(rows: int = 66) -> tuple[Any, Any]:
    """WordPiece over BERT's words with RoBERTa's special tokens."""
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    inner.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    inner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=False)
    tokenizer = transformers.MPNetTokenizerFast(tokenizer_object=inner, model_max_length=512)
    config = transformers.MPNetConfig(vocab_size=len(tokenizer), max_position_embeddings=rows, **SHAPE)
    return config, tokenizer


def unigram_of_bert(special: list[str]) -> Tokenizer:
    """Unigram words with BERT's special tokens around a text."""
    inner = Tokenizer(models.Unigram())
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token=UNK))
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, special.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return inner


def deberta(positions: int = 64) -> tuple[Any, Any]:
    """DeBERTa-v3's: relative positions, no segments."""
    inner = unigram_of_bert(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
    tokenizer = transformers.DebertaV2TokenizerFast(tokenizer_object=inner, model_max_length=positions)
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        type_vocab_size=0,
        relative_attention=True,
        position_biased_input=False,
        position_buckets=16,
        max_relative_positions=-1,
        pos_att_type=["p2c", "c2p"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        **SHAPE,
    )
    return config, tokenizer


def albert(positions: int = 64) -> tuple[Any, Any]:
    """ALBERT's: one layer's weights in all layers, narrow embeddings, segments 0/1."""
    inner = unigram_of_bert(["<pad>", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer = transformers.AlbertTokenizerFast(
        tokenizer_object=inner, model_max_length=positions, unk_token=UNK, keep_accents=True
    )
    config = transformers.AlbertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=positions, embedding_size=16, **SHAPE
    )
    return config, tokenizer


def decoder(kind: str, tokenizer: Any, positions: int = 96) -> tuple[Any, Any]:
    """A causal model with grouped keys and values: ``kind`` is "Qwen2", "Qwen3" or "Mistral"."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        num_key_value_heads=2,
        head_dim=8,
        architectures=[f"{kind}Model"],
        **({"sliding_window": 16} if kind == "Mistral" else {}),
        **SHAPE,
    )
    return config, tokenizer


def camembert(rows: int = 66) -> tuple[Any, Any]:
    tokenizer = unigram(512)
    config = transformers.CamembertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=rows, type_vocab_size=1, **SHAPE
    )
    return config, tokenizer


def xlm_roberta(rows: int = 514, **settings: Any) -> tuple[Any, Any]:
    tokenizer = unigram(1_000_000_000)  # older tokenizer files name no limit; the position table is one
    config = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=rows, type_vocab_size=1, **(SHAPE | settings)
    )
    return config, tokenizer


def roberta(rows: int = 66, **settings: Any) -> tuple[Any, Any]:
    tokenizer = roberta_bpe(512)
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=rows, type_vocab_size=1, **(SHAPE | settings)
    )
    return config, tokenizer


def modern_bert(positions: int = 96, **settings: Any) -> tuple[Any, Any]:
    tokenizer = byte_level(positions)
    ids = {f"{role}_token_id": getattr(tokenizer, f"{role}_token_id") for role in ("cls", "sep", "pad")}
    config = transformers.ModernBertConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        local_attention=16,
        global_attn_every_n_layers=2,
        initializer_cutoff_factor=3.0,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **ids,
        **(SHAPE | {"num_hidden_layers": 3} | settings),
    )
    return config, tokenizer


def save_cross_encoder(folder: Path, config: Any, tokenizer: Any, labels: int = 1, seed: int = 0) -> Any:
    """A sequence classifier as transformers saves it; returns the torch model."""
    config.num_labels = labels
    return _save(folder, config, tokenizer, "AutoModelForSequenceClassification", seed)


def save_encoder(folder: Path, config: Any, tokenizer: Any, seed: int = 0) -> Any:
    """An encoder without a head as transformers saves it; returns the torch model."""
    return _save(folder, config, tokenizer, "AutoModel", seed)


def _save(folder: Path, config: Any, tokenizer: Any, loader: str, seed: int) -> Any:
    torch.manual_seed(seed)
    with quiet():
        model = getattr(transformers, loader).from_config(config, attn_implementation="eager").eval()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return model


def add_modules(folder: Path, *modules: tuple[str, dict[str, Any], dict[str, torch.Tensor]]) -> None:
    """modules.json of sentence-transformers: the transformer, then (type, config, weights) each in its folder."""
    from safetensors.torch import save_file

    entries = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, (kind, config, weights) in enumerate(modules, start=1):
        name = f"{number}_{kind.rpartition('.')[2]}"
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps(config), encoding="utf-8")
        if weights:
            save_file(weights, folder / name / "model.safetensors")
        entries.append({"idx": number, "name": str(number), "path": name, "type": kind})
    (folder / "modules.json").write_text(json.dumps(entries), encoding="utf-8")


def linear(inside: int, outside: int, bias: bool, seed: int = 1) -> dict[str, torch.Tensor]:
    """Weights of a Dense module."""
    torch.manual_seed(seed)
    weights = {"linear.weight": torch.randn(outside, inside) / inside**0.5}
    return weights | ({"linear.bias": torch.randn(outside)} if bias else {})


def save_module_cross_encoder(folder: Path, config: Any, tokenizer: Any) -> tuple[Any, Any]:
    """Pooling of the first token, Dense with GELU, LayerNorm, Dense to one column: the shape of the ettin rerankers.

    Returns the transformer and its head in torch: hidden states float32 ``[tokens, 32]`` -> logit ``[1]``.
    """
    model = save_encoder(folder, config, tokenizer)
    first, last = linear(32, 32, bias=False), linear(32, 1, bias=True, seed=2)
    norm = {"norm.weight": torch.linspace(0.5, 1.5, 32), "norm.bias": torch.linspace(-0.2, 0.2, 32)}
    gelu = {"in_features": 32, "out_features": 32, "bias": False}
    score = {"in_features": 32, "out_features": 1, "bias": True}
    add_modules(
        folder,
        (POOLING, {"pooling_mode": "cls"}, {}),
        (DENSE, {**gelu, "activation_function": "torch.nn.modules.activation.GELU"}, first),
        ("sentence_transformers.models.LayerNorm", {"dimension": 32}, norm),
        (DENSE, {**score, "activation_function": IDENTITY}, last),
    )
    edit_json(folder / "config_sentence_transformers.json", model_type="CrossEncoder", activation_fn=IDENTITY)

    def head(hidden: torch.Tensor) -> torch.Tensor:
        value = torch.nn.functional.gelu(first["linear.weight"] @ hidden[0])
        value = torch.nn.functional.layer_norm(value, (32,), norm["norm.weight"], norm["norm.bias"])
        return last["linear.weight"] @ value + last["linear.bias"]

    return model, head


def edit_json(path: Path, **changes: Any) -> None:
    table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**table, **changes}), encoding="utf-8")


def rewrite(folder: Path, out: Path, **changes: Any) -> Path:
    """A copy of a model folder with keys of its manifest's sections, or plain keys, changed."""
    out.mkdir()
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    tables = tomllib.loads((out / MANIFEST).read_text(encoding="utf-8"))
    del tables["files"], tables["format"]
    for key, values in changes.items():
        tables[key] = {**tables[key], **values} if isinstance(values, dict) else values
    write_manifest(out, tables)
    return out


def save_collection(folder: Path) -> Path:
    """A labelled collection in the layout of BEIR, whose words are those of the tokenizers' corpus."""
    (folder / "qrels").mkdir(parents=True)
    documents = {f"d{number}": text for number, text in enumerate(CORPUS[:7])}
    queries = {"q0": "sort a dictionary", "q1": "quick brown fox", "q2": "water boils"}
    for name, texts in (("corpus", documents), ("queries", queries)):
        lines = [json.dumps({"_id": key, "title": "", "text": text}) for key, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = ["query-id\tcorpus-id\tscore", "q0\td0\t1", "q1\td2\t2", "q2\td1\t1"]
    (folder / "qrels" / "dev.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
