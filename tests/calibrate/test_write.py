"""What is written into manifests and cascade files, and what stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tomlkit", reason="needs tomlkit: pip install 'cascaderank[evaluate]'")

from cascaderank.calibrate import fit
from cascaderank.calibrate.choose import apply
from cascaderank.calibrate.write import write_calibration, write_weights
from cascaderank.calibration import Calibration, line
from cascaderank.errors import ModelError
from cascaderank.model import load_spec
from tiny import make_cross_encoder


def test_a_manifest_keeps_everything_else(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "m")
    path = folder / "model.toml"
    path.write_text("# by hand\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    spec = load_spec(folder)
    written = write_calibration(spec, line(0.5, -1.25), {"data": "x", "queries": 3}, {"folds": 5})
    assert written.calibration == line(0.5, -1.25)
    assert written.calibration.fitted_on == {"data": "x", "queries": 3}
    assert path.read_text(encoding="utf-8").startswith(before.rstrip("\n"))
    again = write_calibration(written, Calibration("isotonic", logits=(0.0, 1.0), log_odds=(-1.0, 1.0)), {}, {})
    assert again.calibration.logits == (0.0, 1.0)
    text = path.read_text(encoding="utf-8")
    assert text.count("[calibration]") == 1
    assert text.startswith(before.rstrip("\n"))
    assert [item.name for item in folder.iterdir() if item.name.startswith(".")] == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_table_of_dense_logits_is_read_as_it_was_fitted(tmp_path: Path, dtype: type) -> None:
    """Both ends of a plateau are knots, and here they are float32 neighbours, or (float64) nearer still."""
    for module in ("scipy", "sklearn"):
        pytest.importorskip(module, reason=f"needs {module}: pip install 'cascaderank[evaluate]'")
    spec = load_spec(make_cross_encoder(tmp_path / "m"))
    step = float(np.spacing(np.float32(12.0))) / (1 if dtype is np.float32 else 4)
    logits = np.concatenate([12.0 + np.arange(400) * step, -0.1 + np.arange(400) * step / 100]).astype(dtype)
    labels = np.random.default_rng(3).random(800) < np.tile(np.linspace(0.1, 0.9, 400), 2)
    fitted = fit("isotonic", logits, labels)
    read = write_calibration(spec, fitted, {}, {}).calibration
    assert len(read.logits) == len(fitted.logits) > 20
    assert np.array(read.logits, np.float32).tolist() == list(fitted.logits)
    exact = logits.astype(np.float32)
    assert apply(read, exact) == pytest.approx(apply(fitted, exact), rel=1e-6)


def test_a_map_the_engine_would_refuse_leaves_the_manifest(tmp_path: Path) -> None:
    folder = make_cross_encoder(tmp_path / "m")
    before = (folder / "model.toml").read_text(encoding="utf-8")
    with pytest.raises(ModelError, match="keep the order"):
        write_calibration(load_spec(folder), line(-1.0, 0.0), {}, {})
    assert (folder / "model.toml").read_text(encoding="utf-8") == before


def test_a_cascade_file_gets_its_weights(tmp_path: Path) -> None:
    source, target = tmp_path / "a.toml", tmp_path / "b.toml"
    source.write_text(
        '[cascade]\nfusion = "convex"  # why\nweights = { first = 0.2 }\ndeadline_ms = 9\n'
        '[[stage]]\nmodel = "x"\nkeep = 5\nweight = 0.1\n[[stage]]\nmodel = "y"  # large\nkeep = 2\n',
        encoding="utf-8",
    )
    config = write_weights(source, target, [0.25, 0.5], (0.25, 0.125, -3.0))
    assert (config.fusion, config.first_weight, config.first_calibration) == ("weighted", 0.25, (0.125, -3.0))
    assert [stage.weight for stage in config.stages] == [0.25, 0.5]
    assert config.deadline_ms == 9
    assert "# large" in target.read_text(encoding="utf-8")
    assert 'fusion = "convex"' in source.read_text(encoding="utf-8")
