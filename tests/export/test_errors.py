"""What an export refuses, by name and with what to do, and that nothing half-written is ever left."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from cascaderank.errors import ModelError
from cascaderank.export import export_model
from cascaderank.export.engine import Engine
from cascaderank.export.graph import store_graph
from export import tiny_hf
from export.tiny_hf import DENSE, IDENTITY, POOLING, edit_json, linear


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("errors") / "my-reranker"
    tiny_hf.save_cross_encoder(folder, *tiny_hf.bert())
    return folder


@pytest.fixture
def source(original: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(original, tmp_path / "models" / "my-reranker"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made" / "out"


def refused(source: Path, out: Path, match: str) -> None:
    with pytest.raises(ModelError, match=match):
        export_model(source, out)
    assert list(out.parent.iterdir()) == []


def word_list(folder: Path) -> list[str]:
    """The vocabulary of a tokenizer.json, by id: BERT's vocab.txt."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return sorted(vocabulary, key=vocabulary.__getitem__)


def weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    found = load_file(folder / "model.safetensors")
    change(found)
    save_file(found, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"model_type": "longformer"}, "model_type 'longformer'; supported are bert"),
        ({"model_type": None}, "model_type None; supported are bert"),
        (
            {"model_type": "qwen3", "architectures": ["JinaForRanking"], "auto_map": {"AutoModel": "m.JinaForRanking"}},
            "JinaForRanking is listwise.*Use a cross-encoder",
        ),
        ({"position_embedding_type": "alibi"}, "position_embedding_type 'alibi', which .* BERT class would ignore"),
        (
            {"model_type": "qwen3", "architectures": ["Qwen3ForSequenceClassification"]},
            "no file of it says what it is asked.*--template",
        ),
    ],
    ids=["unknown", "no type", "listwise", "ALiBi", "a decoder's classifier"],
)
def test_an_architecture_that_cannot_be_run(changes: dict[str, Any], match: str, source: Path, out: Path) -> None:
    edit_json(source / "config.json", **changes)
    refused(source, out, match)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "modules.json"])
def test_code_that_comes_with_a_model_is_never_run(file: str, source: Path, out: Path, tmp_path: Path) -> None:
    trace = tmp_path / "was-run"
    (source / "modeling_mine.py").write_text(f"open({str(trace)!r}, 'w').close()\n", encoding="utf-8")
    if file == "modules.json":
        entries = [{"idx": 0, "name": "0", "path": "", "type": "modeling_mine.Transformer"}]
        (source / file).write_text(json.dumps(entries), encoding="utf-8")
        refused(source, out, "module 'modeling_mine.Transformer', code that comes with the model, which is never run")
    else:
        names = ["modeling_mine.Mine", None] if "tokenizer" in file else "modeling_mine.Mine"
        edit_json(source / file, auto_map={"AutoTokenizer" if "tokenizer" in file else "AutoModel": names})
        refused(source, out, f"{file} asks for code .*modeling_mine.Mine.*never run.*remove auto_map from a copy")
    assert not trace.exists()


def test_a_tokenizer_that_is_not_there(source: Path, out: Path) -> None:
    for name in ("tokenizer.json", "vocab.txt"):
        (source / name).unlink(missing_ok=True)
    refused(source, out, r"no tokenizer\.json, .*save_pretrained\(FOLDER\) writes it")


def test_a_tokenizer_that_transformers_has_only_in_python(source: Path, out: Path) -> None:
    (source / "vocab.txt").write_text("\n".join(word_list(source)) + "\n", encoding="utf-8")
    (source / "tokenizer.json").unlink()
    edit_json(source / "tokenizer_config.json", tokenizer_class="ProphetNetTokenizer")
    (source / "prophetnet.tokenizer").write_bytes((source / "vocab.txt").read_bytes())
    refused(source, out, r"no tokenizer\.json, .*ProphetNetTokenizer")


def test_an_older_vocabulary_becomes_a_tokenizer_file(source: Path, original: Path, out: Path) -> None:
    """Folders of before tokenizer.json: transformers makes the same tokenizer from BERT's word list."""
    (source / "vocab.txt").write_text("\n".join(word_list(source)) + "\n", encoding="utf-8")
    (source / "tokenizer.json").unlink()
    export_model(source, out)
    export_model(original, out.with_name("other"))
    pairs = [("fox", "the lazy dog"), ("water", "Straße")]
    with Engine(out) as engine, Engine(out.with_name("other")) as other:
        assert engine.logits(pairs).tolist() == other.logits(pairs).tolist()


def test_weights_that_are_not_there(source: Path, out: Path) -> None:
    (source / "model.safetensors").unlink()
    refused(source, out, r"transformers cannot load it.*whole folder that save_pretrained wrote")


def test_a_weight_that_is_not_there(source: Path, out: Path) -> None:
    weights(source, lambda found: found.pop("classifier.weight"))
    refused(source, out, r"lack classifier.weight \(1 in all\), which would be random")


def test_a_head_with_more_columns_than_the_config_says(source: Path, out: Path) -> None:
    weights(source, lambda found: found.update({"classifier.weight": torch.ones(3, 32)}))
    refused(source, out, r"makes classifier.weight \[1, 32\], its weights hold another shape .* number of labels")


def modules(folder: Path, *chain: tuple[str, dict[str, Any], dict[str, torch.Tensor]]) -> None:
    tiny_hf.save_encoder(folder, *tiny_hf.bert())
    tiny_hf.add_modules(folder, *chain)


def dense(inside: int, outside: int, stored: int | None = None, **more: Any) -> tuple[str, dict[str, Any], Any]:
    shape = {"in_features": inside, "out_features": outside, "bias": False, "activation_function": IDENTITY}
    return DENSE, {**shape, **more}, linear(stored or inside, outside, bias=False)


MEAN = (POOLING, {"pooling_mode": "mean"}, {})
NORMALIZE = ("sentence_transformers.models.Normalize", {}, {})


@pytest.mark.parametrize(
    ("chain", "match"),
    [
        ([MEAN, dense(64, 8)], "in_features 64, but what comes before it has 32 components"),
        ([MEAN, dense(32, 8), dense(16, 4)], "in_features 16, but what comes before it has 8 components"),
        ([MEAN, dense(32, 8, stored=16)], r"linear.weight': \[8, 16\]\} do not fit its config.json"),
        ([MEAN, NORMALIZE, dense(32, 8)], "Pooling, Normalize, Dense in this order; expected Pooling first"),
        ([dense(32, 8), MEAN], "Dense, Pooling in this order; expected Pooling first"),
        ([MEAN, dense(32, 8, module_input_name="token_embeddings")], "in this order over tokens; expected Pooling"),
        ([MEAN, dense(32, 8, use_residual=True)], "has a residual projection, which is not supported"),
        ([MEAN, ("sentence_transformers.models.LSTM", {}, {})], "'LSTM', which cannot be exported"),
    ],
    ids=["width", "chain", "stored", "scaled first", "before pooling", "over tokens", "residual", "unknown"],
)
def test_a_head_that_the_graph_would_not_reproduce(chain: list[Any], match: str, tmp_path: Path, out: Path) -> None:
    modules(tmp_path / "encoder", *chain)
    refused(tmp_path / "encoder", out, match)


def test_a_head_of_three_columns(tmp_path: Path, out: Path) -> None:
    modules(tmp_path / "encoder", MEAN, dense(32, 3))
    edit_json(tmp_path / "encoder" / "config_sentence_transformers.json", model_type="CrossEncoder")
    refused(tmp_path / "encoder", out, "3 labels; a cross-encoder has 1, or 2")


def test_weights_in_many_files_become_one(original: Path, tmp_path: Path) -> None:
    """Past 2 GiB torch writes a file for each tensor, named after it; what leaves is a graph and one file."""
    export_model(original, tmp_path / "inside")
    (tmp_path / "scratch").mkdir()
    model = onnx.load(tmp_path / "inside" / "model.onnx")
    spread = tmp_path / "scratch" / "model.onnx"
    onnx.save_model(model, spread, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    model = onnx.load(tmp_path / "inside" / "model.onnx")  # saving moved its weights out
    assert len(list(spread.parent.iterdir())) > 10
    for limit, names in ((10_000, ["model.onnx", "model.onnx_data"]), (10_000_000, ["model.onnx"])):
        target = tmp_path / str(limit) / "model.onnx"
        target.parent.mkdir()
        store_graph(Path(shutil.copytree(spread.parent, tmp_path / f"from{limit}")) / "model.onnx", target, limit)
        assert sorted(path.name for path in target.parent.iterdir()) == names
        stored = onnx.load(target)
        assert [item.name for item in stored.graph.initializer] == [item.name for item in model.graph.initializer]
        for found, expected in zip(stored.graph.initializer, model.graph.initializer, strict=True):
            assert (onnx.numpy_helper.to_array(found) == onnx.numpy_helper.to_array(expected)).all()


COMMAND = [sys.executable, "-c", "import sys; from cascaderank.cli.main import main; sys.exit(main(sys.argv[1:]))"]
LIMITED = """\
import resource, sys
from cascaderank.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(["export", *sys.argv[2:]]))
"""


def test_no_room_to_write(source: Path, out: Path) -> None:
    """A process that may write no file of more bytes than that: the system refuses as it does on a full disk."""
    arguments = [sys.executable, "-c", LIMITED, "30000", str(source), str(out)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert (done.returncode, list(out.parent.iterdir())) == (1, []), done.stderr
    assert last.startswith(f"cascaderank: error: {out}: cannot be written, File too large"), done.stderr
    assert last.endswith("Nothing was left behind; free some, or choose another place")


@pytest.mark.parametrize("step", ["exporting the graph", "comparing with torch"])
def test_an_interrupt_leaves_nothing(step: str, source: Path, out: Path) -> None:
    arguments = [*COMMAND, "export", str(source), str(out)]
    with subprocess.Popen(
        arguments,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:  # a line per step off a terminal
            if step in line:
                assert [path.name.startswith(".out.") for path in out.parent.iterdir()] == [True]
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert rest.splitlines()[-1] == "cascaderank: interrupted"
    assert list(out.parent.iterdir()) == []


def test_a_place_that_may_not_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match="file") as caught:
        export_model(source, tmp_path / "file" / "out")
    assert caught.value.filename is not None  # which is what the command line prints
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "models"]
