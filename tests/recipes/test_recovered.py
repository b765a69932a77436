"""Torch weights read back from an int8 graph: of a tiny model quantised by the recipes. Needs the export extra."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="weights are recovered with torch; the export extra has it")
transformers = pytest.importorskip("transformers", reason="the encoder is transformers'; the export extra has it")

NAMES = ("exporting.graph", "exporting.pair_head", "exporting.recovered", "exporting.runtime", "exporting.tables")
HEADS, SIZE, LAYERS = 4, 32, 2


@pytest.fixture(scope="module")
def made(recipes: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A small model with one head of each layer pruned, its graphs, and the rows they are compared on."""
    for name in NAMES:
        module = importlib.import_module(name)
        setattr(recipes, name.rpartition(".")[2], module)
    torch.manual_seed(0)
    shape = {"hidden_size": SIZE, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "intermediate_size": 48}
    config = transformers.BertConfig(
        layer_norm_eps=1e-6,
        vocab_size=2200,
        max_position_embeddings=64,
        initializer_range=0.3,
        attn_implementation="eager",
        **shape,
    )
    model = recipes.pair_head.PairModel(transformers.BertModel(config, add_pooling_layer=False))
    model.bert.prune_heads({0: [1], 1: [3]})
    with torch.no_grad():
        for weight in model.parameters():  # tensors that are equal, such as fresh biases, are stored once
            weight.add_(0.05 * torch.randn_like(weight))
        model.head.similarity_weights.copy_(torch.tensor([9.0, 4.0]))
    model.eval()
    folder = tmp_path_factory.mktemp("recovered")
    recipes.graph.to_onnx(model, folder / "fp32.onnx", "logits", {0: "batch"})
    rng = np.random.default_rng(1)
    texts = [rng.integers(110, 2200, size).tolist() for size in (5, 9, 14, 20, 30)]
    rows = [([101, 200, 300, 102, *ids, 102], 4) for ids in texts]
    state = model.state_dict()
    tables = {
        n: recipes.tables.quantise_table(state[n].numpy()) for n in (recipes.graph.WORDS, recipes.graph.POSITIONS)
    }
    inputs = [recipes.pairs.feed([row]) for row in rows]
    recipes.graph.quantise(folder / "fp32.onnx", folder / "model.onnx", tables, inputs)
    return SimpleNamespace(model=model, folder=folder, inputs=inputs, recovered=recipes.recovered, recipes=recipes)


def logits(made: SimpleNamespace, model: object) -> np.ndarray:
    with torch.inference_mode():
        tensors = [{name: torch.from_numpy(array) for name, array in arrays.items()} for arrays in made.inputs]
        return np.array([float(model(**arrays)) for arrays in tensors])  # type: ignore[operator]


def test_weights_come_back_within_the_rounding_of_their_scales(made: SimpleNamespace) -> None:
    weights, config = made.recovered.recover(made.folder / "model.onnx")
    state = made.model.state_dict()
    assert set(weights) == {name for name in state if "position_ids" not in name}
    for name, value in weights.items():
        expected = state[name].numpy()
        assert value.shape == expected.shape, name
        # Codes of 8 bits; smoothing makes the steps of some channels coarser.
        assert np.linalg.norm(value - expected) < 0.04 * np.linalg.norm(expected), name
    assert (config["num_attention_heads"], config["num_hidden_layers"]) == (HEADS, LAYERS)
    assert (config["intermediate_size"], config["layer_norm_eps"]) == (48, 1e-6)
    assert config["pruned_heads"] == {"0": [3], "1": [3]}  # three are left; which number the lost one had is not kept


def test_a_recovered_folder_scores_as_the_int8_graph_does(made: SimpleNamespace, tmp_path: Path) -> None:
    made.recovered.recover_folder(made.folder, tmp_path)
    recovered = logits(made, made.recipes.pair_head.load_pair_model(tmp_path))
    runner = made.recipes.runtime.session(made.folder / "model.onnx")
    shipped = np.array([runner.run(None, arrays)[0][0, 0] for arrays in made.inputs])
    source = logits(made, made.model)
    assert np.ptp(source) > 1.0
    assert np.abs(recovered - shipped).max() < 0.1 * np.ptp(source)
    assert np.abs(recovered - source).max() < 0.1 * np.ptp(source)


def test_an_fp32_graph_gives_its_weights_exactly(made: SimpleNamespace) -> None:
    weights, _ = made.recovered.recover(made.folder / "fp32.onnx")
    assert set(weights) == set(made.model.state_dict())
    for name, value in weights.items():
        np.testing.assert_array_equal(value, made.model.state_dict()[name].numpy(), err_msg=name)


def test_another_graph_is_refused(made: SimpleNamespace, tmp_path: Path) -> None:
    from tiny import make_cross_encoder

    with pytest.raises(ValueError, match=r"no .*word_embeddings"):
        made.recovered.recover(make_cross_encoder(tmp_path / "ce") / "model.onnx")
