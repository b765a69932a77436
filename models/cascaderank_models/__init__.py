"""Models that come with cascaderank, as folders; nothing here is imported to run them."""

from __future__ import annotations

from pathlib import Path


def folders() -> dict[str, Path]:
    """Every model of this package: its name and its folder (model.onnx, tokenizer.json, model.toml)."""
    here = Path(__file__).resolve().parent
    return {path.parent.name: path.parent for path in sorted(here.glob("*/model.toml"))}
