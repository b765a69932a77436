"""What a GPU has to beat: the same architecture in torch, fp16, on the same pairs. Random weights cost as much time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

LAYERS = {"minilm-ce-small": 3, "minilm-ce-large": 6}  # of 384 dimensions; torch's twin is built from them
QUERY = "how do I read a large file line by line without loading all of it into memory"


def torch_scorer(folder: Path, shape: tuple[int, int], documents: list[str], device: str) -> Callable[[], object] | str:
    """What scores the same pairs in torch, in batches of 128 sorted by length, or why there is none.

    ``shape`` is (layers, dimensions) of a BERT with 32 dimensions a head up to 384 and 64 above.
    """
    try:
        import torch
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel
    except ImportError as error:
        return f"{error.name} is not installed"
    if device == "cuda" and not torch.cuda.is_available():
        return f"torch {torch.__version__} has no CUDA"
    layers, size = shape
    heads = size // (32 if size <= 384 else 64)
    config = BertConfig(
        hidden_size=size, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * size
    )
    kind = torch.float16 if device == "cuda" else torch.float32
    model = BertModel(config).eval().to(device=device, dtype=kind)
    head = torch.nn.Linear(size, 1).to(device=device, dtype=kind)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    ordered = sorted(documents, key=len, reverse=True)

    def score() -> object:
        found = []
        with torch.inference_mode():
            for start in range(0, len(ordered), 128):
                rows = tokenizer.encode_batch([(QUERY, text) for text in ordered[start : start + 128]])
                columns = [
                    torch.tensor([getattr(row, name) for row in rows], device=device)
                    for name in ("ids", "attention_mask", "type_ids")
                ]
                hidden = model(*columns[:2], token_type_ids=columns[2]).last_hidden_state
                found.append(head(hidden[:, 0]).float().cpu())
        return torch.cat(found)

    return score
