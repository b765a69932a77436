"""Verifies a CUDA machine end to end: ``python bench/gpu_check.py [MODEL_FOLDER ...]`` (default: the installed models).

For every model: is CUDA really used (the session's providers, and which nodes ran where, from ONNX Runtime's profile),
do its scores equal the CPU's, is CUDA refused by name where it is hidden, and how many pairs a second it scores beside
torch in fp16 (random weights of the same architecture: speed does not depend on their values). Exits 0 when all of
it holds, 1 when something does not, and 2 with one line where there is nothing to check. ``--rehearse`` runs the same
steps with the CPU in CUDA's place, which shows that this script works and nothing else.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from measure import alternate, describe, machine, speedup, spread, table, write_json

from cascaderank import Cascade, CascadeError, Stage
from cascaderank.model import ModelSpec, installed_models, load_spec

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# Largest difference of a score between CPU and CUDA. fp32 sums in another order with TF32 off; the others round.
TOLERANCE = {"fp32": 1e-3, "fp16": 3e-2, "int8": 5e-2}
# Shapes are computed on the CPU on purpose; arithmetic on the CPU means that the model does not run on the GPU.
ARITHMETIC = ("MatMul", "Gemm", "Attention", "Softmax", "LayerNorm", "Gelu", "Conv", "Quantize")
LAYERS = {"minilm-ce-small": 3, "minilm-ce-large": 6}  # of 384 dimensions and 12 heads: what torch is built from
QUERY = "how do I read a large file line by line without loading all of it into memory"
_REFUSED = "refused by name"

Finding = tuple[bool | None, str]  # whether it holds (None: a figure, not a condition), and what was seen
_MARKS = {True: "ok", False: "FAILED", None: "-"}


def why_not() -> str | None:
    """Why this machine cannot be checked, or None."""
    if CUDA not in onnxruntime.get_available_providers():
        return (
            f"this ONNX Runtime ({onnxruntime.__version__}) has no CUDA provider, only "
            f"{', '.join(onnxruntime.get_available_providers())}; pip install 'cascaderank[gpu]' in place of [cpu]"
        )
    try:
        driver = ctypes.CDLL("libcuda.so.1" if os.name == "posix" else "nvcuda.dll")
    except OSError as error:
        return f"no CUDA driver: {error}"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the CUDA driver finds no device"
    return None


def texts(count: int, seed: int = 0) -> list[str]:
    """Passages of 20 to 200 words of this documentation's kind, the same on every machine."""
    random = np.random.default_rng(seed)
    words = (__doc__ or "").split()
    return [" ".join(random.choice(words, size=random.integers(20, 201))) for _ in range(count)]


def scores(folder: Path, provider: str, documents: list[str]) -> np.ndarray:
    """float32 ``[documents]`` through the engine, in the order of ``documents``."""
    with Cascade([Stage(folder, keep=len(documents), provider=provider)]) as cascade:
        if cascade.providers != (provider,):
            raise CascadeError(f"{folder}: asked for {provider}, the session uses {cascade.providers[0]}")
        ranking = cascade.rank(QUERY, documents)
    found = np.empty(len(documents), np.float32)
    found[ranking.order] = ranking.scores[:, 0]
    return found


def node_counts(spec: ModelSpec, providers: list[Any]) -> dict[str, Counter[str]]:
    """Provider -> how many runs of each kind of node, from ONNX Runtime's profile of one run."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.enable_profiling = True
    with tempfile.TemporaryDirectory() as scratch:
        settings.profile_file_prefix = str(Path(scratch) / "profile")
        session = onnxruntime.InferenceSession(str(spec.model_file), settings, providers=providers)
        width = min(32, spec.max_length)
        feed = {name: np.ones((2, width), np.int64) for name in spec.input.names.values()}
        session.run([spec.output.name], feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    counts: dict[str, Counter[str]] = {}
    for event in events:
        arguments = event.get("args", {})
        if event.get("cat") == "Node" and "provider" in arguments:
            counts.setdefault(arguments["provider"], Counter())[arguments.get("op_name", "?")] += 1
    return counts


def check_nodes(spec: ModelSpec, provider: str) -> Finding:
    wanted = CUDA if provider == "cuda" else CPU
    counts = node_counts(spec, [wanted] if provider == "cpu" else [(CUDA, {"use_tf32": "0"}), CPU])
    there = sum(counts.get(wanted, Counter()).values())
    strangers = {
        op: number
        for name, ops in counts.items()
        if name != wanted
        for op, number in ops.items()
        if any(word in op for word in ARITHMETIC)
    }
    elsewhere = sum(sum(ops.values()) for name, ops in counts.items() if name != wanted)
    said = f"{there} nodes on {provider}, {elsewhere} elsewhere"
    if strangers:
        return False, f"{said}, arithmetic among them: {strangers}"
    return there > 0, said


def check_refusal(folder: Path) -> Finding:
    """CUDA hidden from a process of its own: asking for it must be a ProviderError."""
    program = (
        "import sys\n"
        "from cascaderank import Cascade, ProviderError, Stage\n"
        "try:\n"
        "    Cascade([Stage(sys.argv[1], keep=1, provider='cuda')])\n"
        "except ProviderError as error:\n"
        f"    print({_REFUSED!r}, error, sep=': ')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = (result.stdout if result.returncode == 0 else result.stderr).strip().splitlines()
    said = lines[-1] if lines else "no error: the model was loaded"
    return said.startswith(_REFUSED), said


def torch_scorer(folder: Path, layers: int, documents: list[str], device: str) -> Callable[[], object] | str:
    """What scores the same pairs in torch, in batches of 128 sorted by length, or why there is none."""
    try:
        import torch
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel
    except ImportError as error:
        return f"{error.name} is not installed"
    if device == "cuda" and not torch.cuda.is_available():
        return f"torch {torch.__version__} has no CUDA"
    config = BertConfig(hidden_size=384, num_hidden_layers=layers, num_attention_heads=12, intermediate_size=1536)
    kind = torch.float16 if device == "cuda" else torch.float32
    model = BertModel(config).eval().to(device=device, dtype=kind)
    head = torch.nn.Linear(384, 1).to(device=device, dtype=kind)
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


def check_speed(spec: ModelSpec, provider: str, pairs: int, repetitions: int) -> Finding:
    """Pairs a second beside torch in fp16; a figure, not a condition."""
    if spec.name not in LAYERS:
        return None, "not compared: only " + " and ".join(LAYERS) + " have a known architecture"
    documents = texts(pairs)
    rival = torch_scorer(spec.folder, LAYERS[spec.name], documents, provider)
    with Cascade([Stage(spec.folder, keep=pairs, provider=provider)]) as cascade:
        contenders: dict[str, Callable[[], object]] = {"ours": lambda: cascade.rank(QUERY, documents)}
        if not isinstance(rival, str):
            contenders["torch"] = rival
        seconds = alternate(contenders, repetitions, warm_up=2)
    said = f"{pairs / spread(seconds['ours']).median:.0f} pairs/s ({spec.precision})"
    if isinstance(rival, str):
        return None, f"{said}; torch not compared: {rival}"
    ratio = speedup(seconds, "ours", "torch").median
    return None, f"{said}, torch {pairs / spread(seconds['torch']).median:.0f} pairs/s: ratio {ratio:.2f}"


def check_parity(spec: ModelSpec, provider: str) -> Finding:
    documents = texts(64, seed=1)
    ours, there = (scores(spec.folder, name, documents) for name in ("cpu", provider))
    difference = float(np.abs(ours - there).max())
    tolerance = TOLERANCE[spec.precision]
    return difference <= tolerance, f"largest difference {difference:.1e} of 64 scores (tolerance {tolerance:g})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="model folders (default: the installed models)")
    parser.add_argument("--pairs", type=int, default=1000, help="pairs of the speed figures (default 1000)")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--rehearse", action="store_true", help="the CPU in CUDA's place: checks this script only")
    parser.add_argument("--json", help="write the findings to this file")
    arguments = parser.parse_args()
    reason = None if arguments.rehearse else why_not()
    if reason is not None:
        print(f"gpu_check: nothing to check here: {reason}")
        return 2
    folders = arguments.folders or list(installed_models().values())
    if not folders:
        print("gpu_check: nothing to check here: no model folder was given and no model package is installed")
        return 2
    provider = "cpu" if arguments.rehearse else "cuda"
    found = machine()
    print(describe(found))
    if arguments.rehearse:
        print("REHEARSAL on the CPU: this says nothing about a GPU")
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is not None and provider == "cuda":
        preload()
    findings: list[dict[str, Any]] = []
    for folder in folders:
        spec = load_spec(folder)
        checks: dict[str, Callable[[], Finding]] = {
            "nodes on the device": lambda spec=spec: check_nodes(spec, provider),
            "same scores as the CPU": lambda spec=spec: check_parity(spec, provider),
            "hidden CUDA refused": lambda spec=spec: check_refusal(spec.folder),
            "speed": lambda spec=spec: check_speed(spec, provider, arguments.pairs, arguments.repetitions),
        }
        for name, check in checks.items():
            try:
                passed, said = check()
            except Exception as error:  # noqa: BLE001  a check that breaks is a finding, and the others still run
                passed, said = False, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            findings.append({"model": spec.name, "check": name, "passed": passed, "finding": said})
    rows = [("model", "check", "", "finding")]
    rows += [(one["model"], one["check"], _MARKS[one["passed"]], one["finding"]) for one in findings]
    print(table(rows, right=()))
    write_json(arguments.json, {"machine": found, "rehearsal": arguments.rehearse, "findings": findings})
    return 1 if any(one["passed"] is False for one in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
