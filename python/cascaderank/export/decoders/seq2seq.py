"""Rerankers with encoder and decoder (monoT5): the score is the first answer that the decoder would write, so its one
step from the start token is part of the graph (Nogueira et al., "Document ranking with a pretrained
sequence-to-sequence model", 2020)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cascaderank.export.extras import require

MODEL_TYPES = ("t5", "mt5")
"""Relative positions: the window is what the template says, or the caller."""

LOGITS = "logits"


def start_row(model: Any, row: Any) -> Any:
    """``row`` float32 ``[1, hidden]`` of the head, with T5's scale of tied words folded in."""
    return row * model.config.d_model**-0.5 if model.config.tie_word_embeddings else row


def export_seq2seq(model: Any, row: Any, path: Path) -> None:
    """Trace int64 ``input_ids`` and ``attention_mask`` [rows, length] -> float32 logits [rows, 1] into ``path``."""
    torch = require("torch")
    start = int(model.config.decoder_start_token_id)
    encoder, decoder, row = model.get_encoder(), model.get_decoder(), start_row(model, row)

    class Answer(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = encoder, decoder
            self.register_buffer("row", row)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            read = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            written = self.decoder(
                input_ids=torch.full_like(input_ids[:, :1], start), encoder_hidden_states=read,
                encoder_attention_mask=attention_mask, use_cache=False,
            )  # fmt: skip
            return written.last_hidden_state[:, 0] @ self.row.T

    ids = torch.tensor([[3, 4, 5, 6], [6, 5, 4, 3]])
    rows = {0: "rows", 1: "length"}
    torch.onnx.export(
        Answer().eval(), (ids, torch.ones_like(ids)), str(path), input_names=["input_ids", "attention_mask"],
        output_names=[LOGITS], dynamic_axes={"input_ids": rows, "attention_mask": rows, LOGITS: {0: "rows"}},
        opset_version=18, dynamo=False,
    )  # fmt: skip
