"""Verifies a CUDA machine end to end: ``python bench/gpu_check.py [MODEL_FOLDER ...]`` (default: the installed models).

For every model: is CUDA really used (the engine's session, and which nodes ran where, from ONNX Runtime's profile), do
its scores equal the CPU's, is CUDA refused by name where it is hidden, and how many pairs a second it scores beside
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from measure import alternate, describe, machine, speedup, spread, table, write_json
from torch_rival import LAYERS, QUERY, torch_scorer

from cascaderank import Cascade, CascadeError, ProviderError, Stage
from cascaderank.model import ModelSpec, installed_models, load_spec

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
# Largest difference of a score between CPU and CUDA. fp32 sums in another order with TF32 off; the others round.
TOLERANCE = {"fp32": 1e-3, "fp16": 3e-2, "int8": 5e-2}
# Shapes are computed on the CPU on purpose; arithmetic on the CPU means that the model does not run on the GPU.
ARITHMETIC = ("MatMul", "Gemm", "Attention", "Softmax", "LayerNorm", "Gelu", "Conv", "Quantize")
_REFUSED = "refused by name"
_USED = "provider used"

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


def check_speed(spec: ModelSpec, provider: str, options: argparse.Namespace) -> Finding:
    """Pairs a second beside torch in fp16; a figure, not a condition."""
    layers, pairs = options.layers or LAYERS.get(spec.name), options.pairs
    if spec.kind != "cross_encoder" or layers is None:
        return None, "not compared: only cross-encoders are, and one of unknown shape needs --layers"
    documents = texts(pairs)
    rival = torch_scorer(spec.folder, (layers, options.hidden), documents, provider)
    with Cascade([Stage(spec.folder, keep=pairs, provider=provider)]) as cascade:
        contenders: dict[str, Callable[[], object]] = {"ours": lambda: cascade.rank(QUERY, documents)}
        if not isinstance(rival, str):
            contenders["torch"] = rival
        seconds = alternate(contenders, options.repetitions, warm_up=2)
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


def check_use(spec: ModelSpec, provider: str) -> Finding:
    """The engine's own session is on the provider. An int8 graph may be refused: CUDA lacks its kernels."""
    try:
        with Cascade([Stage(spec.folder, keep=1, provider=provider)]) as cascade:
            return cascade.providers == (provider,), f"the session uses {cascade.providers[0]}"
    except ProviderError as error:
        return (None if spec.precision == "int8" else False), f"refused: {error}"


def check_model(spec: ModelSpec, provider: str, options: argparse.Namespace) -> Iterator[tuple[str, Finding]]:
    """Name and finding of each check; a check that breaks is a finding, and the others still run."""
    checks: dict[str, Callable[[], Finding]] = {
        _USED: lambda: check_use(spec, provider),
        "hidden CUDA refused": lambda: check_refusal(spec.folder),
        "nodes on the device": lambda: check_nodes(spec, provider),
        "same scores as the CPU": lambda: check_parity(spec, provider),
        "speed": lambda: check_speed(spec, provider, options),
    }
    used = True
    for name, check in checks.items():
        if not used and name != "hidden CUDA refused":
            continue
        try:
            found = check()
        except Exception as error:  # noqa: BLE001
            found = False, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        if name == _USED:
            used = bool(found[0])
        yield name, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="model folders (default: the installed models)")
    parser.add_argument("--pairs", type=int, default=1000, help="pairs of the speed figures (default 1000)")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--layers", type=int, help="layers of a cross-encoder that is not one of the installed ones")
    parser.add_argument("--hidden", type=int, default=384, help="its dimensions (default 384)")
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
        for name, (passed, said) in check_model(spec, provider, arguments):
            findings.append({"model": spec.name, "check": name, "passed": passed, "finding": said})
    if not any(one["check"] == _USED and one["passed"] for one in findings):
        said = "none: give the folder of a model in fp32 (cascaderank export --precision fp32)"
        findings.append({"model": "all", "check": "a model that runs there", "passed": False, "finding": said})
    rows = [("model", "check", "", "finding")]
    rows += [(one["model"], one["check"], _MARKS[one["passed"]], one["finding"]) for one in findings]
    print(table(rows, right=()))
    write_json(arguments.json, {"machine": found, "rehearsal": arguments.rehearse, "findings": findings})
    return 1 if any(one["passed"] is False for one in findings) else 0


if __name__ == "__main__":
    sys.exit(main())
