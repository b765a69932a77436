"""What the quality table says of a model alone, in that model's own manifest."""

from __future__ import annotations

import tomllib
from pathlib import Path

import tomli_w

from measuring.measured import Results
from measuring.systems import SINGLE


def write_manifests(models: Path, results: Results, depth: int) -> None:
    """Put nDCG@10 of each model alone into `[quality]` of its model.toml; what training wrote there stays."""
    for name, system in SINGLE.items():
        path = models / name / "model.toml"
        measured = {
            str(task): round(float(result.narrow[system]["ndcg10"].mean()), 4)
            for task, result in results.items()
            if system in result.narrow
        }
        if not path.is_file() or not measured:
            continue
        manifest = tomllib.loads(path.read_text(encoding="utf-8"))
        reranked = f"reranking BM25's first {depth}, or the judged list; models/recipes/quality.py"
        manifest["quality"] = {**manifest.get("quality", {}), "ndcg10": measured, "measured": reranked}
        path.write_text(tomli_w.dumps(manifest), encoding="utf-8")
