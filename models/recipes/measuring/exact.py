"""fp32 folders of the shipped models, made from their torch weights: what int8 is compared with. Needs torch."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path


def fp32_folder(shipped: Path, weights: Path, cache: Path) -> Path:
    """A folder as `shipped`, with an fp32 graph of `weights`; kept in `cache`, named by the weights' digest."""
    digest = hashlib.sha256((weights / "model.safetensors").read_bytes()).hexdigest()[:12]
    folder = cache / "fp32" / f"{shipped.name}.{digest}"
    if (folder / "model.toml").is_file():
        return folder
    from exporting.graph import to_onnx
    from exporting.manifest import write_folder
    from exporting.shipped import RECIPES, load_model
    from texts.pairs import clean_tokenizer

    model, output, axes = load_model(RECIPES[shipped.name], weights)
    folder.mkdir(parents=True, exist_ok=True)
    to_onnx(model, folder / "model.onnx", output, axes)
    manifest = tomllib.loads((shipped / "model.toml").read_text(encoding="utf-8"))
    manifest["precision"] = {"weights": "fp32", "layout": "padded", "batch_invariant": True}
    unchanged = {key: value for key, value in manifest.items() if key not in ("format", "files", "parity", "quality")}
    write_folder(folder, clean_tokenizer(shipped / "tokenizer.json"), unchanged)  # last: it marks a complete folder
    return folder
