"""What follows the transformer inside the graph: pooling, and the modules of sentence-transformers, in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.export.extras import first_line, require
from cascaderank.export.source import Module, Source


def pool(torch: Any, hidden: Any, mask: Any, pooling: str) -> Any:
    """hidden float32 ``[batch, length, size]``, mask ``[batch, length]`` -> ``[batch, size]``; padding is right.

    The modes are those of sentence-transformers' Pooling: "weighted_mean" weighs a token by its place, counted from 1.
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        return hidden.masked_fill(mask.unsqueeze(-1) == 0, -1e9).amax(1)
    if pooling == "last_token":
        last = mask.sum(1) - 1
        return hidden.gather(1, last.view(-1, 1, 1).expand(-1, 1, hidden.shape[-1])).squeeze(1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    if pooling == "weighted_mean":
        weights = weights * weights.cumsum(1)
    total = weights.sum(1).clamp(min=1e-9)
    return (hidden * weights).sum(1) / (total.sqrt() if pooling == "mean_sqrt_len" else total)


def head_layer(source: Source, module: Module) -> Any:
    """A Dense (linear, activation) or LayerNorm module of sentence-transformers, with its weights."""
    torch = require("torch")
    config = module.config
    weights = _load_weights(module)
    if module.shared:  # ColBERT's artifact: only the projection of everything that lies there
        weights = {name: value for name, value in weights.items() if name.startswith("linear.")}
    try:
        if module.kind == "LayerNorm":
            layer = torch.nn.LayerNorm(int(config["dimension"]))
            layer.load_state_dict({name.removeprefix("norm."): value.float() for name, value in weights.items()})
            return layer
        if config.get("use_residual"):
            raise ModelError(f"{source.name}: {module.folder.name} has a residual projection, which is not supported")
        linear = torch.nn.Linear(int(config["in_features"]), int(config["out_features"]), bool(config["bias"]))
        linear.load_state_dict({name.removeprefix("linear."): value.float() for name, value in weights.items()})
        # sentence-transformers' default where the file says nothing.
        activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    except (KeyError, RuntimeError) as error:
        shapes = {name: list(value.shape) for name, value in weights.items()}
        raise ModelError(
            f"{module.folder}: its weights {shapes} do not fit its config.json {dict(config)}: {first_line(error)}; "
            "give the folder of a finished model"
        ) from error
    name = activation.rpartition(".")[2]
    if not activation.startswith("torch.nn.modules.") or not hasattr(torch.nn, name):
        raise ModelError(f"{module.folder}: activation_function {activation!r} is not one of torch.nn")
    return torch.nn.Sequential(linear, getattr(torch.nn, name)())


def _load_weights(module: Module) -> dict[str, Any]:
    safe, pickled = module.folder / "model.safetensors", module.folder / "pytorch_model.bin"
    if safe.is_file():
        return dict(require("safetensors.torch").load_file(safe))
    if pickled.is_file():
        return dict(require("torch").load(pickled, map_location="cpu", weights_only=True))
    raise ModelError(f"{module.folder}: neither model.safetensors nor pytorch_model.bin; copy the whole model folder")


def composite(model: Any, layers: Sequence[Any] = (), pooling: str = "none") -> Any:
    """Transformer, pooling over the mask (or none: per token), then ``layers``: one torch module, one tensor out."""
    torch = require("torch")

    class Composite(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.transformer = model
            self.head = torch.nn.Sequential(*layers)
            self.config = model.config

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            segments = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            output = self.transformer(input_ids=input_ids, attention_mask=attention_mask, **segments)
            hidden = output.logits if "logits" in output else output.last_hidden_state
            return self.head(hidden if pooling == "none" else pool(torch, hidden, attention_mask, pooling))

    return Composite().eval()
