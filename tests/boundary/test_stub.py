"""The stub and the extension agree. Type checkers cannot see this for a pybind11 module, so every function is called by
keyword and the signature it documents is compared with the stub's."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import cascaderank
from cascaderank import _core  # noqa: TID251  the boundary is under test
from core_calls import CALLS, fusion, pool, vocabulary

STUB = ast.parse((Path(cascaderank.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}


def _signatures() -> dict[str, list[str]]:
    """Qualified name -> argument names, from the stub; properties have none."""
    found = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
    for owner, body in CLASSES.items():
        for node in body.body:
            if isinstance(node, ast.FunctionDef) and not node.decorator_list:
                found[f"{owner}.{node.name}"] = node
    return {
        name: [argument.arg for argument in node.args.args if argument.arg != "self"] for name, node in found.items()
    }


SIGNATURES = _signatures()
PROPERTIES = [
    (owner, node.name)
    for owner, body in CLASSES.items()
    for node in body.body
    if isinstance(node, ast.FunctionDef) and node.decorator_list
]


def lookup(name: str) -> object:
    owner, _, attribute = name.rpartition(".")
    return getattr(getattr(_core, owner) if owner else _core, attribute)


def documented(name: str) -> list[str]:
    """Argument names in the first line of ``__doc__``: name(first: type, second: type) -> type."""
    line = (lookup(name).__doc__ or "").splitlines()[0]
    inner = line[line.index("(") + 1 : line.rindex(") ->")]
    flat = re.sub(r"\[[^\[\]]*\]", "", inner)
    while "[" in flat:
        flat = re.sub(r"\[[^\[\]]*\]", "", flat)
    return [
        part.split(":")[0].strip() for part in flat.split(",") if part.strip() and not part.strip().startswith("self")
    ]


def test_the_stub_has_every_name_and_no_other() -> None:
    assigned = {
        node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    functions = {name for name in SIGNATURES if "." not in name}
    assert {name for name in dir(_core) if not name.startswith("_")} == assigned | functions | set(CLASSES)


def test_the_stub_has_every_method_and_no_other() -> None:
    for owner in ("Template", "Calibration", "Fusion", "Pool", "WordPiece"):
        real = {name for name in vars(getattr(_core, owner)) if not name.startswith("_")} | {"__init__"}
        stubbed = {name.partition(".")[2] for name in SIGNATURES if name.startswith(f"{owner}.")}
        stubbed |= {name for of, name in PROPERTIES if of == owner}
        assert real == stubbed, owner


@pytest.mark.parametrize("name", SIGNATURES)
def test_argument_names_and_order_equal_the_documented_ones(name: str) -> None:
    assert SIGNATURES[name] == documented(name)


@pytest.mark.parametrize("name", [name for name in SIGNATURES if "." not in name])
def test_every_function_is_called_by_its_stub_s_keywords(name: str) -> None:
    function, make, _ = CALLS[name]
    call = make()
    assert function is lookup(name)
    assert list(call) == SIGNATURES[name]
    function(**call)


def test_every_class_is_called_by_its_stub_s_keywords() -> None:
    form = {"parts": [1, -1, 2, -2], "segments": [0, 0, 1, 1], "pad": 7, "position_offset": 2, "max_length": 9}
    assert list(form) == SIGNATURES["Template.__init__"]
    made = _core.Template(**form)
    assert {name: getattr(made, name) for name in form} == form
    assert sorted(PROPERTIES) == sorted(("Template", name) for name in form)
    settings = {"kind": "rrf", "normalisation": "min-max", "rrf_k": 1.0, "weights": [1.0], "calibrations": []}
    assert list(settings) == SIGNATURES["Fusion.__init__"]
    _core.Fusion(**settings)
    table = {"low": 1.0, "high": 2.0, "offset": 0.5, "logits": [0.0, 1.0], "log_odds": [0.0, 0.0]}
    assert list(table) == SIGNATURES["Calibration.__init__"]
    assert _core.Calibration(**table).first_logit(limit=9e9) > 1e15  # the plateau's slope takes it there
    _, make, _ = CALLS["Calibration.write_log_odds"]
    assert list(make()) == SIGNATURES["Calibration.write_log_odds"]
    assert list(vocabulary()) == SIGNATURES["WordPiece.__init__"]
    assert list(CALLS["WordPiece.encode"][1]()) == SIGNATURES["WordPiece.encode"]
    assert _core.WordPiece(**vocabulary()).find(token="##s") == 2
    for method in ("reset", "collect"):
        _, make, _ = CALLS[f"Pool.{method}"]
        assert list(make()) == SIGNATURES[f"Pool.{method}"]
    with pytest.raises(ValueError, match="weighted"):
        pool().decided(stage=0, count=1)
    assert pool(collected=True).prune(stage=0, keep=1, min_logit=None, margin=None) == (2, 1, 0)
    order, reached, value, logits = pool().finish(count=2)
    assert [array.dtype.name for array in (order, reached, value, logits)] == ["int64", "int64", "float64", "float32"]
    assert logits.shape == (2, 1)
    assert pool().alive().dtype == "int64"


def test_constants_are_what_the_stub_says() -> None:
    assert (_core.QUERY, _core.DOCUMENT) == (-1, -2)
    assert _core.MAX_TOKEN_ID == 2**23 - 2
    assert issubclass(_core.NonFiniteScore, RuntimeError)
    assert isinstance(fusion(), _core.Fusion)
