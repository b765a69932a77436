"""Cross-encoders of other libraries and of cascaderank, each called as its documentation calls it, from local files.

Nobody is tuned: batch sizes, threads and padding are each library's own defaults.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rivals.contender import Absent, Contender, Files, Score

MAX_PAIRS = 10_000
_FLASHRANK_MODEL = "ms-marco-MiniLM-L-12-v2"  # a name that FlashRank knows; it only decides which file is opened
Maker = Callable[[Files, str], Contender]


def sentence_transformers_torch(files: Files, precision: str) -> Contender:
    if precision != "fp32":
        raise Absent("its torch backend has no int8 of these weights")
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    model = CrossEncoder(str(files.torch), device="cpu", activation_fn=Identity(), max_length=512)
    return Contender("sentence-transformers, torch", precision, _predict(model))


def sentence_transformers_onnx(files: Files, precision: str) -> Contender:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    model = CrossEncoder(
        str(files.torch), backend="onnx", device="cpu", activation_fn=Identity(), max_length=512,
        model_kwargs={"file_name": files.graph(precision), "provider": "CPUExecutionProvider"},
    )  # fmt: skip
    return Contender("sentence-transformers, ONNX", precision, _predict(model))


def _predict(model: Any) -> Score:
    return lambda query, texts: np.asarray(model.predict([(query, text) for text in texts]))


def flashrank(files: Files, precision: str) -> Contender:
    """FlashRank opens a folder of one of its own models' names; this one holds links to ours."""
    from flashrank import Ranker, RerankRequest
    from flashrank.Config import model_file_map

    cache = files.torch.parent / f"flashrank-{precision}"
    folder = cache / _FLASHRANK_MODEL
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        link(folder / name, files.torch / name)
    link(folder / model_file_map[_FLASHRANK_MODEL], files.torch / files.graph(precision))
    ranker = Ranker(_FLASHRANK_MODEL, cache_dir=str(cache), max_length=512, log_level="ERROR")

    def score(query: str, texts: list[str]) -> np.ndarray:
        passages = [{"id": place, "text": text} for place, text in enumerate(texts)]
        found = np.empty(len(texts))
        for passage in ranker.rerank(RerankRequest(query, passages)):
            found[passage["id"]] = passage["score"]
        return found

    return Contender("FlashRank", precision, score, squashed=True)


def fastembed(files: Files, precision: str) -> Contender:
    from fastembed.common.model_description import ModelSource
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    name = f"local/{precision}"
    known = {model["model"] for model in TextCrossEncoder.list_supported_models()}
    if name not in known:
        TextCrossEncoder.add_custom_model(name, ModelSource(hf=name), model_file=files.graph(precision))
    model = TextCrossEncoder(name, specific_model_path=str(files.torch), providers=["CPUExecutionProvider"])
    return Contender("fastembed", precision, lambda query, texts: np.fromiter(model.rerank(query, texts), float))


def rerankers(files: Files, precision: str) -> Contender:
    if precision != "fp32":
        raise Absent("its cross-encoder runs torch models only")
    from rerankers import Reranker

    ranker = Reranker(str(files.torch), model_type="cross-encoder", device="cpu", verbose=0)

    def score(query: str, texts: list[str]) -> np.ndarray:
        found = np.empty(len(texts))
        for result in ranker.rank(query=query, docs=texts, doc_ids=list(range(len(texts)))).results:
            found[result.doc_id] = result.score
        return found

    return Contender("rerankers", precision, score)


def cascaderank(files: Files, precision: str) -> Contender:
    from cascaderank import Cascade, Stage

    cascade = Cascade([Stage(files.folder(precision), keep=MAX_PAIRS)])
    cascade.warm_up()

    def score(query: str, texts: list[str]) -> np.ndarray:
        ranking = cascade.rank(query, texts)
        found = np.empty(len(texts))
        found[ranking.order] = ranking.scores[:, 0]
        return found

    return Contender("cascaderank", precision, score, ours=True)


PEERS: dict[str, Maker] = {
    "sentence-transformers, torch": sentence_transformers_torch,
    "sentence-transformers, ONNX": sentence_transformers_onnx,
    "FlashRank": flashrank,
    "fastembed": fastembed,
    "rerankers": rerankers,
}


def make(files: Files, precisions: tuple[str, ...], only: str = "") -> tuple[list[Contender], list[str]]:
    """cascaderank and every peer whose name contains ``only``, in each precision; and a line for each that is absent.

    An error while a library that is installed loads a local folder makes it absent too, with the error's own words.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    found, absent = [], []
    for precision in precisions:
        found.append(cascaderank(files, precision))
        for name, maker in PEERS.items():
            if only.lower() not in name.lower():
                continue
            try:
                found.append(maker(files, precision))
            except Absent as error:
                absent.append(f"{name}, {precision}: {error}")
            except ImportError as error:
                absent.append(f"{name}, {precision}: {error}")
            except Exception as error:  # noqa: BLE001 - whatever a foreign library raises is the evidence
                absent.append(f"{name}, {precision}: cannot load the local folder: {type(error).__name__}: {error}")
    return found, absent


def link(path: Path, target: Path) -> None:
    """A symbolic link to an existing file, where there is nothing yet."""
    if not path.exists():
        path.symlink_to(target.resolve())
