"""``cascaderank check``: is a model folder, an installed model, a cascade file or a store sound?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command
from cascaderank.manifest import PAIRED

if TYPE_CHECKING:
    from cascaderank.cascade import Cascade
    from cascaderank.model import ModelSpec

_TEXT = """\
Load a model folder, an installed model (by name) or a cascade file as a service would, and say what it is.

Checked: the manifest, the sha256 of every file, the graph's inputs and output, the tokenizer against the vocabulary,
that a smoke query gives finite scores, and that the golden pairs of the manifest score as they did when it was made.
Of a store every file is read and compared with its sha256.
--against repeats the parity run: fp32 within its tolerance, other precisions within what their manifest recorded.
"""
_EXAMPLES = """\
  cascaderank check minilm-bi minilm-ce-small
  cascaderank check models/my-reranker --provider cuda
  cascaderank check cascade.toml
  cascaderank check docs.store
  cascaderank check models/my-reranker --against ./my-finetuned-reranker     (needs the export extra)
  cascaderank check models/my-int8 --against ./my-finetuned-reranker --data beir/scifact --split test
"""
_QUERY = "how many days are there in a week"
_RELEVANT = "A week has seven days, from Monday to Sunday."
_OTHER = "The recipe needs two eggs, some flour and a pinch of salt."


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "check", "check model folders, cascade files and stores", _TEXT, _EXAMPLES)
    parser.add_argument("targets", metavar="FOLDER_OR_NAME", nargs="+", help="or a cascade file (.toml), or a store")
    parser.add_argument("--provider", choices=("cpu", "cuda", "openvino", "auto"), default="auto", help="for folders")
    parser.add_argument(
        "--against", metavar="HF_FOLDER", help="the Hugging Face model it came from: repeat the parity run"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="BEIR folder: with --against, nDCG@10 of both too")
    parser.add_argument("--split", default="dev", help="of --data; default: dev")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cascaderank.cli.terminal import say
    from cascaderank.errors import CascadeError, InputError
    from cascaderank.store import is_store

    if options.data is not None and options.against is None:
        raise InputError("check: --data compares with the model given to --against; give that too")
    failed = 0
    for target in options.targets:
        try:
            if is_store(Path(target)):
                lines = _check_store(target)
            elif target.endswith(".toml"):
                lines = _check_cascade(Path(target))
            else:
                lines = _check_model(target, options)
        except CascadeError as error:
            failed += 1
            print(f"{target}: FAILED", flush=True)
            say(f"cascaderank: error: {error}")
        else:
            print("\n".join([f"{target}: OK", *(f"  {line}" for line in lines)]), flush=True)
    return 1 if failed else 0


def _check_cascade(file: Path) -> list[str]:
    from cascaderank.cli.arguments import open_cascade

    with open_cascade(file) as cascade:
        config = cascade.config
        lines = [f"{len(config.stages)} stages, fusion {config.fusion!r}"]
        for name, stage, spec, provider, tokenizer in zip(
            cascade.names, config.stages, cascade.models, cascade.providers, cascade.tokenizers, strict=True
        ):
            lines.append(f"{name}: keep {stage.keep}, {spec.kind}, {spec.precision} on {provider}, {spec.folder}")
            lines.append(f"{name}: tokenizer: {tokenizer}")
        return [*lines, *_golden(cascade), _smoke(cascade)]


def _check_store(target: str) -> list[str]:
    from cascaderank.cli.store_show import cut_or_whole
    from cascaderank.cli.terminal import busy, counted
    from cascaderank.store import Store

    with busy(f"reading {target}"):
        store = Store.open(target)
        size = store.verify()
    schema = store.schema
    kinds = [
        (len(schema.tokens), "tokenizer"),
        (len(schema.vectors), "bi-encoder"),
        (len(schema.token_vectors), "late"),
    ]
    held = ", ".join(f"{count} {kind}" for count, kind in kinds if count)
    return [
        f"{counted(len(store), 'document')} in {counted(len(store.segments), 'segment')}, {size / 1e6:.1f} MB, vectors "
        f"in {schema.precision}",
        f"{held}; made by {', '.join(sorted(schema.models.values()))}",
        "every file has the size and the sha256 it was written with",
        *cut_or_whole(schema, store.truncated),
    ]


def _check_model(target: str, options: argparse.Namespace) -> list[str]:
    from cascaderank.cascade import Cascade
    from cascaderank.cli.terminal import busy
    from cascaderank.config import Stage

    stage = Stage(target, keep=2, provider=options.provider)
    with busy(f"checking {target}"), Cascade([stage]) as cascade:
        spec = cascade.models[0]
        running = [f"runs on {cascade.providers[0]}", f"tokenizer: {cascade.tokenizers[0]}"]
        lines = [*_describe(spec), *running, *_golden(cascade), _smoke(cascade)]
    if options.against is not None:
        lines += _compare(spec, options)
    return lines


def _describe(spec: ModelSpec) -> list[str]:
    manifest = spec.manifest
    source, parity = manifest.get("source", {}), manifest.get("parity", {})
    output = spec.output
    shape = f", score {output.score!r}" if spec.kind in PAIRED else f", {output.dimension} dimensions"
    batch = "" if spec.batch_invariant else ", one pair per run on a CPU (not batch-invariant)"
    lines = [
        f"{spec.kind} {spec.name!r}, {spec.precision}, max_length {spec.max_length}{shape}{batch}",
        f"made from {source.get('model', '?')}, licence {source.get('licence', 'not stated')}",
        f"{len(spec.files)} files with the right sha256, {_size_mb(spec):.1f} MB, digest {spec.digest[:12]}",
    ]
    if "max_abs_diff" in parity:
        lines.append(
            f"parity with {parity.get('reference', '?')} when made: max |diff| {parity['max_abs_diff']:.2g} over "
            f"{parity.get('pairs', '?')} pairs"
        )
        lines += _beside_fp32(spec)
    else:
        lines.append("note: the manifest states no parity; nothing vouches that it scores like its source")
    if spec.calibration is not None:
        on = spec.calibration.fitted_on
        told = f", told {spec.calibration.instruction!r}" if spec.calibration.instruction is not None else ""
        lines.append(
            f"calibration: {spec.calibration.method}, fitted on {on.get('data', 'data it does not name')}{told}"
        )
    elif spec.kind in PAIRED:
        lines.append("no calibration: its scores order, they are not probabilities (`cascaderank calibrate` fits one)")
    return lines


def _beside_fp32(spec: ModelSpec) -> list[str]:
    """What the manifest recorded of another precision than fp32, as far as it did."""
    from cascaderank.model import prefix

    parity, key = spec.manifest.get("parity", {}), prefix(spec.precision)
    parts = [
        text.format(parity[f"{key}_{name}"])
        for name, text in (
            ("kendall_tau", "Kendall tau {:.3f}"),
            ("max_abs_diff", "max |diff| {:.2g}"),
            ("ndcg10_loss", "nDCG@10 lost {:+.4f}"),
        )
        if f"{key}_{name}" in parity
    ]
    return [f"{spec.precision} beside fp32 when made: {', '.join(parts)}"] if parts else []


def _size_mb(spec: ModelSpec) -> float:
    return sum((spec.folder / name).stat().st_size for name in spec.files) / 1e6


def _golden(cascade: Cascade) -> list[str]:
    without = [spec.name for spec in cascade.models if spec.golden is None]
    if without:
        return [f"note: no golden scores in the manifest of {', '.join(without)}; export again to have them"]
    found = cascade.check_golden()
    worst = max(found, key=lambda check: check.max_abs_diff / check.tolerance)
    return [
        f"golden scores: {sum(check.pairs for check in found)} pairs met, max |diff| {worst.max_abs_diff:.2g} "
        f"(tolerance {worst.tolerance:.2g}); template as exported"
    ]


def _smoke(cascade: Cascade) -> str:
    ranking = cascade.rank(_QUERY, [_OTHER, _RELEVANT])
    scores = {hit.index: hit.score for hit in ranking}
    shown = {index: "not reached" if score is None else f"{score:.3f}" for index, score in scores.items()}
    text = f"smoke query {_QUERY!r}: {shown[1]} for the passage that answers it, {shown[0]} for another"
    if ranking.order[0] != 1:
        text += "; note: the answer is not first, which no working model for English text should do"
    return text


def _compare(spec: ModelSpec, options: argparse.Namespace) -> list[str]:
    from cascaderank.cli.terminal import busy
    from cascaderank.export import compare_with_source, gate_recorded, measure_against

    with busy(f"comparing {spec.name} with {options.against}"):
        report = compare_with_source(spec.folder, options.against)
    allowed = gate_recorded(report, spec)
    lines = [f"parity now: {report.summary()}", f"allowed for {spec.precision}: {allowed:.3g}"]
    if options.data is not None:
        with busy(f"nDCG@10 on {options.data}"):
            quality = measure_against(spec.folder, options.against, options.data, split=options.split)
        lines.append(quality.summary())
    return lines
