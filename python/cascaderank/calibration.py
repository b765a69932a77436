"""The fitted calibration of a model: what ``[calibration]`` of a manifest says, as checked, plain data.

A logit orders, a score is shown, a probability is a fitted calibration's. Every method is an increasing map from logit
to log-odds, so none of them moves the model's own order; the extension applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from cascaderank.errors import ModelError
from cascaderank.tables import Reader

METHODS = ("temperature", "platt", "beta", "isotonic")
_KEYS = {
    "temperature": ("temperature",),
    "platt": ("a", "b"),
    "beta": ("low", "high", "offset"),
    "isotonic": ("logits", "log_odds"),
}


@dataclass(frozen=True, slots=True)
class Calibration:
    """A map from logit to log-odds.

    Without knots ``high * softplus(logit) - low * softplus(-logit) + offset``: Platt's map ``a * logit + b`` where
    ``low == high``, a temperature where ``offset`` is 0 too, else beta calibration (Kull, Silva Filho and Flach, 2017).
    With knots an isotonic table, linear between the knots and level outside them.
    """

    method: str
    low: float = 1.0
    high: float = 1.0
    offset: float = 0.0
    logits: tuple[float, ...] = ()
    log_odds: tuple[float, ...] = ()
    fitted_on: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def instruction(self) -> str | None:
        """What the model was told to judge by when it was fitted; None: the manifest's own instruction, or nothing."""
        said: str | None = self.fitted_on.get("instruction")
        return said

    def parameters(self) -> dict[str, Any]:
        """The method's own keys in ``[calibration]``."""
        if self.method == "temperature":
            return {"temperature": 1.0 / self.low}
        if self.method == "platt":
            return {"a": self.low, "b": self.offset}
        if self.method == "beta":
            return {"low": self.low, "high": self.high, "offset": self.offset}
        return {"logits": list(self.logits), "log_odds": list(self.log_odds)}


def line(a: float, b: float) -> Calibration:
    """Platt's map (Platt, "Probabilistic outputs for support vector machines", 1999): log-odds ``a * logit + b``."""
    return Calibration("platt", a, a, b)


def read_calibration(reader: Reader, digest: str) -> Calibration:
    """Read ``[calibration]``; ``digest`` is the model's as its folder is now.

    Raises ``ModelError`` for a map that does not keep the order, and for one that was fitted to another model.
    """
    method = reader.choice("method", METHODS)
    bound = reader.text("model")
    if bound != digest:
        raise ModelError(
            f"{reader.where}: fitted to model {bound[:12]}…, but this folder's model is {digest[:12]}…: a file, the "
            "template, the output or max_length changed since; run `cascaderank calibrate` on the folder again, or "
            "remove [calibration] from the manifest"
        )
    fitted_on: Mapping[str, Any] = {}
    if "fitted_on" in reader.table:
        section = reader.section("fitted_on")
        fitted_on = section.table
        if "instruction" in fitted_on:
            section.text("instruction")
    if method == "isotonic":
        return _read_table(reader, fitted_on)
    values = [reader.number(key) for key in _KEYS[method]]
    slopes = values[:2] if method == "beta" else values[:1]
    if min(slopes) <= 0.0:
        raise ModelError(f"{reader.where}: {method} with {slopes}; a calibration must keep the order, give slopes > 0")
    if method == "temperature":
        return Calibration(method, 1.0 / values[0], 1.0 / values[0], 0.0, fitted_on=fitted_on)
    if method == "platt":
        return Calibration(method, values[0], values[0], values[1], fitted_on=fitted_on)
    low, high, offset = values
    return Calibration(method, low, high, offset, fitted_on=fitted_on)


def _read_table(reader: Reader, fitted_on: Mapping[str, Any]) -> Calibration:
    logits, log_odds = reader.numbers("logits"), reader.numbers("log_odds")
    rising = all(left < right for left, right in pairwise(logits))
    level = all(left <= right for left, right in pairwise(log_odds))
    if len(logits) != len(log_odds) or not logits or not rising or not level:
        raise ModelError(
            f"{reader.where}: {len(logits)} logits and {len(log_odds)} log_odds; expected equally many, at least one, "
            "logits that increase and log_odds that never decrease"
        )
    return Calibration("isotonic", logits=logits, log_odds=log_odds, fitted_on=fitted_on)
