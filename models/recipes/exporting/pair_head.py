"""The shipped cross-encoders in torch: a BERT encoder over the pair, read the way a bi-encoder is read.

    h      = encoder([CLS] query [SEP] document [SEP])
    q̄, d̄   = mean of h over the query's / the document's own tokens ([CLS], [SEP] and padding take no part)
    logit  = a · cos(q̄, d̄) + b · mean over query tokens of max over document tokens of cos(hᵢ, hⱼ)
             + w · [20·q̂⊙d̂ ; 5·|q̂ - d̂| ; h_CLS ; d̄] + c

A fresh [CLS] head knows nothing before training; this one ranks from its first step, so it learns from little.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import BertConfig, BertModel

from texts.pairs import CLS, SEP

EPSILON = 1e-6  # keeps the norm of an empty mean, which is exactly zero, from dividing by zero


class PairHead(nn.Module):
    """Hidden states of a pair to one logit. Parameters are named as in the weights it is loaded from."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.similarity_weights = nn.Parameter(torch.tensor([12.0, 6.0]))  # a and b
        self.linear = nn.Linear(4 * hidden_size, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, hidden: Tensor, query_mask: Tensor, document_mask: Tensor) -> Tensor:
        """hidden float32 [batch, length, size], masks float32 [batch, length] of 0 and 1 -> logits [batch, 1]."""
        query_count = query_mask.sum(1, keepdim=True).clamp(min=1.0)
        document_count = document_mask.sum(1, keepdim=True).clamp(min=1.0)
        # One matrix product per mean instead of an elementwise product over [batch, length, size].
        query_mean = torch.matmul(query_mask.unsqueeze(1), hidden).squeeze(1) / query_count
        document_mean = torch.matmul(document_mask.unsqueeze(1), hidden).squeeze(1) / document_count
        query_unit = normalize(query_mean, dim=-1, eps=EPSILON)
        document_unit = normalize(document_mean, dim=-1, eps=EPSILON)
        product = query_unit * document_unit
        cosine = product.sum(-1, keepdim=True)

        tokens = normalize(hidden, dim=-1, eps=EPSILON)
        similarity = torch.matmul(tokens, tokens.transpose(1, 2))
        # A cosine is never below -1, so (s + 1) · mask - 1 is the masked value, and an empty document gives -1.
        best = ((similarity + 1.0) * document_mask.unsqueeze(1)).amax(-1) - 1.0
        matched = (best * query_mask).sum(1, keepdim=True) / query_count

        features = torch.cat(
            [20.0 * product, 5.0 * (query_unit - document_unit).abs(), hidden[:, 0], document_mean], dim=-1
        )
        a, b = self.similarity_weights[0], self.similarity_weights[1]
        return a * cosine + b * matched + self.linear(features)


class PairModel(nn.Module):
    """Encoder and head; takes what a cross-encoder's graph takes."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert
        self.head = PairHead(bert.config.hidden_size)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """int64 [batch, length] three times -> float32 logits [batch, 1]."""
        hidden = self.bert(input_ids, attention_mask, token_type_ids).last_hidden_state.float()
        return self.head(hidden, *segment_masks(input_ids, attention_mask, token_type_ids))


def segment_masks(input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Which tokens are the query's own and the document's own, float32 [batch, length] each."""
    attended = attention_mask.float()
    own = attended * (input_ids != CLS).float() * (input_ids != SEP).float()
    document = own * token_type_ids.float()
    return own - document, document


def load_bert(folder: Path, layers: int | None = None, prefix: str = "") -> BertModel:
    """The encoder of a Hugging Face folder in fp32 with eager attention; `layers` keeps the first that many."""
    config = BertConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    config.num_hidden_layers = layers or config.num_hidden_layers
    config._attn_implementation = "eager"  # the fastest on a CPU, and the form ONNX Runtime's optimizer recognises
    bert = BertModel(config, add_pooling_layer=False)
    weights = load_file(folder / "model.safetensors")
    own = {name.removeprefix(prefix): weight.float() for name, weight in weights.items() if name.startswith(prefix)}
    report = bert.load_state_dict(own, strict=False)
    if missing := [name for name in report.missing_keys if "position_ids" not in name]:
        raise ValueError(f"{folder}/model.safetensors lacks {missing[:3]} ({len(missing)} weights)")
    return bert.eval()


def load_pair_model(folder: Path, layers: int | None = None) -> PairModel:
    """Encoder and head of a folder whose weights are named `bert.*` and `head.*`; fp32, in evaluation mode."""
    model = PairModel(load_bert(folder, layers, prefix="bert."))
    weights = load_file(folder / "model.safetensors")
    head = {name.removeprefix("head."): value.float() for name, value in weights.items() if name.startswith("head.")}
    model.head.load_state_dict(head)
    return model.eval()
