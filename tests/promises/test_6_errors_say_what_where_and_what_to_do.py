"""One exception hierarchy; a bad configuration is refused at load. The messages, one by one: tests/bad_input."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

import cascaderank
from cascaderank import Cascade, CascadeError, Document, Stage, Store, errors
from graphs import make_misfit
from tiny import make_cross_encoder

BUILTINS = {
    "ConfigError": ValueError,
    "InputError": ValueError,
    "ModelError": ValueError,
    "OverloadedError": RuntimeError,
    "ProviderError": RuntimeError,
    "ScoreError": RuntimeError,
    "StoreError": ValueError,
    "MissingExtraError": ImportError,
}


def test_one_hierarchy() -> None:
    classes = {name: item for name, item in vars(errors).items() if inspect.isclass(item)}
    assert set(classes) == {"CascadeError", *BUILTINS}
    for name, builtin in BUILTINS.items():
        assert issubclass(classes[name], CascadeError)
        assert issubclass(classes[name], builtin)
        assert getattr(cascaderank, name) is classes[name]


def bad_calls(models: Path, tmp_path: Path) -> dict[str, tuple[Callable[[], object], list[str]]]:
    """What -> (the call, what its message must name)."""
    sick = make_cross_encoder(tmp_path / "sick", graph={"nan_word": "fish"})
    misfit = make_misfit(tmp_path / "misfit", output="scores")
    (tmp_path / "cascade.toml").write_text('[[stage]]\nmodel = "nowhere"\nkeep = 3\nkep = 1')
    (tmp_path / "broken.store").write_bytes(b"x")
    good, bad = Cascade([Stage(models / "ce", keep=3)]), Cascade([Stage(sick, keep=3)])
    documents = [Document("a", "red"), Document("b", "fish")]
    return {
        "query": (lambda: good.rank("", ["red"]), ["query"]),
        "document": (lambda: good.rank("red", ["red", 5]), ["documents[1]", "int", "string"]),
        "window": (lambda: good.rank("red " * 99, ["red"]), ["99", "'ce'", "32", "truncate_query"]),
        "count": (lambda: good.rank("red", ["red"] * 10_001), ["10001", "10000", "max_candidates"]),
        "score": (lambda: bad.rank("red", documents), ["'sick'", "documents[1]", "'b'", "nan", "check"]),
        "store": (lambda: Store.open(tmp_path / "broken.store"), ["broken.store", "encode"]),
        "key": (lambda: Cascade.load(tmp_path / "cascade.toml"), ["cascade.toml", "stage[1]", "kep", "keep"]),
        "folder": (lambda: Cascade([Stage(tmp_path / "nowhere", keep=1)]), ["nowhere", "no such folder"]),
        "graph": (lambda: Cascade([Stage(misfit, keep=1)]), ["misfit", "logits", "scores"]),
        "cut-off": (lambda: Cascade([Stage(models / "ce", keep=0)]), ["keep", "0", "at least 1"]),
    }


def test_every_error_is_ours_and_names_value_place_and_remedy(models: Path, tmp_path: Path) -> None:
    for what, (call, names) in bad_calls(models, tmp_path).items():
        with pytest.raises(CascadeError) as caught:
            call()
        for name in names:
            assert name in str(caught.value), what


def test_a_failed_request_leaves_the_cascade_usable(models: Path) -> None:
    with Cascade([Stage(models / "ce", keep=3)]) as cascade:
        for _ in range(20):
            with pytest.raises(CascadeError):
                cascade.rank("red", ["red", 5])
            assert cascade.rank("red", ["red"])[0].score == 1.0


def test_a_cascade_that_cannot_be_made_leaves_no_threads(models: Path, tmp_path: Path) -> None:
    import threading

    before = threading.active_count()
    for _ in range(5):
        with pytest.raises(CascadeError):
            Cascade([Stage(models / "ce", keep=3), Stage(tmp_path / "nowhere", keep=1)])
    assert threading.active_count() == before
