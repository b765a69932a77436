"""What a graph can be made into: one entry per precision beside fp32, which is the graph as it was exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cascaderank.errors import ModelError
from cascaderank.export.blocks import block_graph
from cascaderank.export.graph import EXTERNAL_OVER
from cascaderank.export.half import half_graph
from cascaderank.export.prepare import Made
from cascaderank.export.quantize import quantize_graph
from cascaderank.export.smooth import Inputs
from cascaderank.export.static import static_graph


@dataclass(frozen=True, slots=True)
class Making:
    """What a conversion may be told. ``inputs`` are typical inputs of the graph, for those that are calibrated, and
    ``texts`` says where they are from; graphs of more than ``external_over`` bytes keep their weights in a file beside
    them."""

    inputs: Sequence[Inputs] = ()
    reduce_range: bool = False
    quantize_embeddings: bool = False
    external_over: int = EXTERNAL_OVER
    texts: str = ""


@dataclass(frozen=True, slots=True)
class Precision:
    """How a graph becomes one of this precision: ``make(source, target, making)``.

    ``calibrated``: it looks at typical inputs. ``one_scale``: activations have one scale for a whole run, so that a
    neighbour can move a score whatever a measurement happens to say. ``takes`` names the flags of ``Making`` it knows.
    """

    make: Callable[[Path, Path, Making], Made]
    calibrated: bool = False
    one_scale: bool = False
    takes: frozenset[str] = frozenset()


def _half(source: Path, target: Path, making: Making) -> Made:
    return half_graph(source, target, making.inputs, external_over=making.external_over)


def _int8(source: Path, target: Path, making: Making) -> Made:
    words = quantize_graph(
        source, target, making.inputs, reduce_range=making.reduce_range, embeddings=making.quantize_embeddings,
        external_over=making.external_over,
    )  # fmt: skip
    return Made(words)


def _static(source: Path, target: Path, making: Making) -> Made:
    return static_graph(source, target, making.inputs, external_over=making.external_over)


def _blocks(bits: int, source: Path, target: Path, making: Making) -> Made:
    return block_graph(source, target, bits, embeddings=making.quantize_embeddings, external_over=making.external_over)


PRECISIONS = {
    "fp16": Precision(_half, calibrated=True),
    "int8": Precision(_int8, calibrated=True, one_scale=True, takes=frozenset({"reduce_range", "quantize_embeddings"})),
    "int8-static": Precision(_static, calibrated=True),
    "int8-block": Precision(partial(_blocks, 8)),
    "int4-block": Precision(partial(_blocks, 4), takes=frozenset({"quantize_embeddings"})),
}


def check_precision(name: str, making: Making, calibration: Path | None = None) -> None:
    """Raise ``ModelError`` for a precision that does not exist, or a flag or file it has no use for."""
    if name != "fp32" and name not in PRECISIONS:
        raise ModelError(f"export: precision {name!r}; expected one of {', '.join(('fp32', *PRECISIONS))}")
    for flag in ("reduce_range", "quantize_embeddings"):
        if getattr(making, flag) and (name == "fp32" or flag not in PRECISIONS[name].takes):
            fitting = ", ".join(key for key, precision in PRECISIONS.items() if flag in precision.takes)
            raise ModelError(f"export: {flag} has no meaning for precision {name}; it is for {fitting}")
    if calibration is not None and (name == "fp32" or not PRECISIONS[name].calibrated):
        fitting = ", ".join(key for key, precision in PRECISIONS.items() if precision.calibrated)
        raise ModelError(f"export: calibration has no meaning for precision {name}; it is for {fitting}")
