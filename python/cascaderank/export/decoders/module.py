"""A decoder in torch, and its graph: keys and values of what came before as an input, one logit per row as output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.decoders.seq2seq import LOGITS, export_seq2seq
from cascaderank.export.decoders.seq2seq import MODEL_TYPES as SEQ2SEQ
from cascaderank.export.extras import first_line, quiet, require
from cascaderank.export.source import Source

PRESENT = "present"
_NEVER = -3e4  # weighs exactly nothing after softmax, and is a number in fp16 too
INPUTS = ("input_ids", "attention_mask", "past")


def load_decoder(source: Source) -> Any:
    """The whole model of transformers in evaluation mode, fp32, its vocabulary-sized head included."""
    transformers = require("transformers")
    architecture = str((source.config.get("architectures") or [""])[0])
    loader = transformers.AutoModelForCausalLM
    if source.config.get("model_type") in SEQ2SEQ:
        loader = transformers.AutoModelForSeq2SeqLM
    elif architecture.endswith("ForSequenceClassification"):
        loader = transformers.AutoModelForSequenceClassification
    try:
        with quiet():
            model, loading = loader.from_pretrained(
                str(source.weights), output_loading_info=True, attn_implementation="eager", dtype="float32"
            )
    except Exception as error:
        raise ModelError(f"{source.name}: transformers cannot load it: {first_line(error)}") from error
    if missing := sorted(loading["missing_keys"]):
        raise ModelError(
            f"{source.name}: its weights lack {', '.join(missing[:3])} ({len(missing)} in all), which would be random; "
            "give the folder of a finished model"
        )
    return model.eval()


def score_row(model: Any, answers: list[int]) -> Any:
    """The one row, float32 ``[1, hidden]``, that the last hidden state is multiplied with: ``W_yes - W_no``, or
    ``W_yes`` alone, so that no product is as large as the vocabulary. A classifier's own head where there is one."""
    classifier = getattr(model, "score", None)
    weights = classifier.weight if classifier is not None else model.get_output_embeddings().weight[answers]
    bias = None if classifier is None else classifier.bias
    if bias is not None or weights.shape[0] not in (1, 2):
        shape = f"{tuple(weights.shape)}{' with bias' if bias is not None else ''}"
        raise ModelError(f"{type(model).__name__}: a head of shape {shape}; expected one or two rows without bias")
    weights = weights.detach().double()
    return (weights[1:] - weights[:1] if weights.shape[0] == 2 else weights).float()


def graph_module(model: Any, row: Any) -> Any:
    """What is exported: int64 ``input_ids`` and ``attention_mask`` [rows, length], padded on the right, and float32
    ``past`` [2 * layers, 1, heads, before, size] of the tokens before all rows -> logits [rows, 1] and ``present``
    [2 * layers, rows, heads, length, size] of these tokens."""
    torch = require("torch")
    cache_class = require("transformers.cache_utils").DynamicCache
    base = model.model
    layers = int(base.config.num_hidden_layers)

    class Decoder(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.base = base
            self.register_buffer("row", row)

        def forward(self, input_ids: Any, attention_mask: Any, past: Any) -> tuple[Any, Any]:
            rows, length = input_ids.shape
            before = past.shape[3]
            cache = cache_class()
            shared = past.expand(-1, rows, -1, -1, -1)
            for layer in range(layers):
                cache.update(shared[2 * layer], shared[2 * layer + 1], layer)
            places = torch.arange(length) + before
            # Padding is on the right, where a causal model never looks from a real token.
            hidden_from = torch.arange(before + length)[None, :] > places[:, None]
            mask = torch.zeros(hidden_from.shape).masked_fill(hidden_from, _NEVER)
            output = self.base(
                input_ids=input_ids,
                attention_mask=mask[None, None],
                position_ids=places[None],
                past_key_values=cache,
                use_cache=True,
            )
            last = (attention_mask.sum(1) - 1).view(-1, 1, 1).expand(-1, 1, output.last_hidden_state.shape[-1])
            state = output.last_hidden_state.gather(1, last).squeeze(1)
            made = [array[:, :, before:] for layer in cache.layers for array in (layer.keys, layer.values)]
            return state @ self.row.T, torch.stack(made)

    return Decoder().eval()


def export_decoder(model: Any, row: Any, path: Path) -> None:
    """Trace ``graph_module`` into ``path``."""
    torch = require("torch")
    config = model.config
    if config.model_type in SEQ2SEQ:
        export_seq2seq(model, row, path)
        return
    heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
    ids = torch.tensor([[1, 2, 3], [3, 2, 1]])
    example = (ids, torch.ones_like(ids), torch.randn(2 * int(config.num_hidden_layers), 1, heads, 5, size))
    rows, length = {0: "rows", 1: "length"}, {1: "rows", 3: "length"}
    torch.onnx.export(
        graph_module(model, row), example, str(path), input_names=list(INPUTS), output_names=[LOGITS, PRESENT],
        dynamic_axes={"input_ids": rows, "attention_mask": rows, "past": {3: "before"}, LOGITS: {0: "rows"},
                      PRESENT: length},
        opset_version=18, dynamo=False,
    )  # fmt: skip
