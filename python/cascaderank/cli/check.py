"""``cascaderank check``: is a model folder, an installed model or a cascade file sound?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_command

if TYPE_CHECKING:
    from cascaderank.cascade import Cascade
    from cascaderank.model import ModelSpec

_TEXT = """\
Load a model folder, an installed model (by name) or a cascade file as a service would, and say what it is.

Checked: the manifest, the sha256 of every file, the graph's inputs and output, the tokenizer against the vocabulary,
that a smoke query gives finite scores, and that the golden pairs of the manifest score as they did when it was made.
"""
_EXAMPLES = """\
  cascaderank check minilm-bi minilm-ce-small
  cascaderank check models/my-reranker --provider cuda
  cascaderank check cascade.toml
  cascaderank check models/my-reranker --against ./my-finetuned-reranker     (needs the export extra)
"""
_QUERY = "how many days are there in a week"
_RELEVANT = "A week has seven days, from Monday to Sunday."
_OTHER = "The recipe needs two eggs, some flour and a pinch of salt."


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "check", "check model folders and cascade files", _TEXT, _EXAMPLES)
    parser.add_argument("targets", metavar="FOLDER_OR_NAME", nargs="+", help="or a cascade file (.toml)")
    parser.add_argument("--provider", choices=("cpu", "cuda", "auto"), default="auto", help="for folders")
    parser.add_argument(
        "--against", metavar="HF_FOLDER", help="the Hugging Face model it came from: repeat the parity run"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cascaderank.cli.terminal import say
    from cascaderank.errors import CascadeError

    failed = 0
    for target in options.targets:
        try:
            if target.endswith(".toml"):
                lines = _check_cascade(Path(target))
            else:
                lines = _check_model(target, options.provider, options.against)
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


def _check_model(target: str, provider: str, against: str | None) -> list[str]:
    from cascaderank.cascade import Cascade
    from cascaderank.cli.terminal import busy
    from cascaderank.config import Stage

    with busy(f"checking {target}"), Cascade([Stage(target, keep=2, provider=provider)]) as cascade:
        spec = cascade.models[0]
        running = [f"runs on {cascade.providers[0]}", f"tokenizer: {cascade.tokenizers[0]}"]
        lines = [*_describe(spec), *running, *_golden(cascade), _smoke(cascade)]
    if against is not None:
        lines.append(_compare(spec, against))
    return lines


def _describe(spec: ModelSpec) -> list[str]:
    manifest = spec.manifest
    source, parity = manifest.get("source", {}), manifest.get("parity", {})
    output = spec.output
    shape = f", score {output.score!r}" if spec.kind == "cross_encoder" else f", {output.dimension} dimensions"
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
        if "int8_kendall_tau" in parity:
            lines.append(f"int8 beside fp32: Kendall tau {parity['int8_kendall_tau']:.3f}")
    else:
        lines.append("note: the manifest states no parity; nothing vouches that it scores like its source")
    return lines


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


def _compare(spec: ModelSpec, source: str) -> str:
    from cascaderank.cli.terminal import busy
    from cascaderank.export import compare_with_source, gate

    with busy(f"comparing {spec.name} with {source}"):
        report = compare_with_source(spec.folder, source)
    if spec.precision == "fp32":  # quantised models differ by design; their figures are shown, not judged
        gate(report, spec.folder)
    return f"parity now: {report.summary()}"
