"""What torch says, written out apart from the exporter: texts as their own tokenizer encodes them, always alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Pooling = Callable[[torch.Tensor], torch.Tensor]
"""Hidden states float32 ``[tokens, size]`` of one text -> its vector."""

POOLINGS: dict[str, Pooling] = {
    "cls": lambda hidden: hidden[0],
    "mean": lambda hidden: hidden.mean(0),
    "lasttoken": lambda hidden: hidden[-1],
    "max": lambda hidden: hidden.amax(0),
    "mean_sqrt_len_tokens": lambda hidden: hidden.sum(0) / len(hidden) ** 0.5,
    "weightedmean": lambda hidden: (
        (hidden * torch.arange(1.0, len(hidden) + 1)[:, None]).sum(0) / torch.arange(1.0, len(hidden) + 1).sum()
    ),
}
# transformers' own encoding of a special token written in a text is the token; the engine's is its characters.
SPLIT = {"split_special_tokens": True, "return_tensors": "pt"}


def pair_hidden(model: Any, tokenizer: Any, window: int, query: str, document: str) -> Any:
    """The model's output for one pair, the document cut to the window."""
    encoded = tokenizer([query], [document], truncation="only_second", max_length=window, **SPLIT)
    with torch.no_grad():
        return model(**encoded)


def pair_logits(model: Any, tokenizer: Any, window: int, pairs: list[tuple[str, str]]) -> np.ndarray:
    """A sequence classifier's logits float32 ``[pairs, labels]``."""
    return np.stack([pair_hidden(model, tokenizer, window, *pair).logits[0].numpy() for pair in pairs])


def text_vectors(
    model: Any, tokenizer: Any, window: int, texts: list[str], pooling: Pooling, normalize: bool = True
) -> np.ndarray:
    """Vectors float32 ``[texts, size]``."""
    vectors = []
    for text in texts:
        encoded = tokenizer(text, truncation=True, max_length=window, **SPLIT)
        encoded.pop("token_type_ids", None)  # zeros for a single text
        with torch.no_grad():
            vector = pooling(model(**encoded).last_hidden_state[0])
        vectors.append((vector / vector.norm() if normalize else vector).numpy())
    return np.stack(vectors)


def token_vectors(model: Any, ids: list[int], attended: list[int], weight: torch.Tensor) -> torch.Tensor:
    """Late interaction: each token's projected hidden state, scaled to length 1."""
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([attended])).last_hidden_state[0]
        return torch.nn.functional.normalize(hidden @ weight.T, dim=-1)
