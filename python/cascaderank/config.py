"""Settings of a cascade: frozen, checked when made, read from TOML. No model is touched here."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cascaderank.errors import ConfigError
from cascaderank.tables import Reader

FUSIONS = ("last", "rrf", "convex", "weighted")
NORMALISATIONS = ("z-score", "min-max")
PROVIDERS = ("cpu", "cuda", "openvino", "auto")
PRECISIONS = ("fp32", "fp16", "bf16", "int8", "int8-static", "int8-block", "int4-block")

_STAGE_KEYS = {"model", "name", "keep", "weight", "precision", "provider", "device", "min_score", "margin", "when"}
_STAGE_KEYS |= {"min_probability", "dynamic"}
_STAGE_KEYS |= {"token_budget", "max_rows", "threads", "spinning", "instruction"}
_CASCADE_KEYS = {"deadline_ms", "fusion", "normalisation", "rrf_k", "weights", "workers", "max_candidates"}
_CASCADE_KEYS |= {"truncate_query", "check_golden", "first_calibration", "early_stop", "token_cache_mb", "max_requests"}
_CASCADE_KEYS |= {"switch_interval_ms"}


@dataclass(frozen=True, slots=True)
class Dynamic:
    """A cut-off per request: the fewest best candidates whose softmax(logit / ``temperature``) over those the stage
    scored adds up to ``mass`` (above 0, at most 1). ``cascaderank tune`` finds both."""

    mass: float
    temperature: float = 1.0

    def __post_init__(self) -> None:
        _number("dynamic", "mass", self.mass, 0.0)
        _number("dynamic", "temperature", self.temperature, 0.0)
        if not 0.0 < self.mass <= 1.0 or self.temperature == 0.0:
            raise ConfigError(
                f"dynamic: mass is {self.mass!r}, temperature {self.temperature!r}; expected 0 < mass <= 1, "
                "temperature > 0"
            )


@dataclass(frozen=True, slots=True)
class Stage:
    """One model, how it scores, and its cut-off.

    ``model`` is a model folder or the name of an installed model. ``keep`` is how many candidates leave the stage.
    ``weight`` is the stage's share in fusion. ``precision`` refuses a folder of another precision; ``bf16`` is an fp32
    folder that OpenVINO computes in bfloat16. ``provider`` is ``cpu``, ``cuda`` or ``openvino`` (errors where they
    cannot be used) or ``auto`` (CUDA where usable, else the CPU; the trace says which). ``min_score`` drops candidates
    whose score (after the model's activation) is below it, ``min_probability`` those whose calibrated probability is
    (an error for a model without calibration), ``margin`` those more than that many logits below the stage's best;
    ``dynamic`` makes ``keep`` smaller where the scores leave no doubt.
    ``candidates_over`` skips the stage for a request with no more
    candidates than that. ``stored`` runs it only where the store knows all candidates (True), or does not (False): a
    cheap encoder for bare texts beside a better one with vectors made ahead. ``instruction`` is what a decoder is told
    to judge by (a request may say otherwise); None leaves it to the model folder. ``token_budget`` (tokens of one
    micro-batch, padding included), ``max_rows``, ``threads`` (inside one run) and ``spinning`` override the plan chosen
    from model, provider and what ``Cascade.warm_up`` measures.
    """

    model: str | os.PathLike[str]
    keep: int
    name: str | None = None
    weight: float = 1.0
    precision: str | None = None
    provider: str = "auto"
    device: int = 0
    min_score: float | None = None
    margin: float | None = None
    min_probability: float | None = None
    dynamic: Dynamic | None = None
    candidates_over: int | None = None
    stored: bool | None = None
    instruction: str | None = None
    token_budget: int | None = None
    max_rows: int | None = None
    threads: int | None = None
    spinning: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.model, (str, os.PathLike)) or not str(self.model):
            raise ConfigError(f"stage: model is {self.model!r}, expected a folder or the name of an installed model")
        where = f"stage {self.name or str(self.model)!r}"
        _integer(where, "keep", self.keep, 1)
        _integer(where, "device", self.device, 0)
        for key in ("candidates_over", "token_budget", "max_rows", "threads"):
            if getattr(self, key) is not None:
                _integer(where, key, getattr(self, key), 1)
        _choice(where, "provider", self.provider, PROVIDERS)
        if self.precision is not None:
            _choice(where, "precision", self.precision, PRECISIONS)
            if self.precision == "bf16" and self.provider != "openvino":
                raise ConfigError(f"{where}: precision 'bf16' needs provider 'openvino', not {self.provider!r}")
        if self.name is not None and (not isinstance(self.name, str) or not self.name):
            raise ConfigError(f"{where}: name is {self.name!r}, expected a string")
        if self.instruction is not None and (not isinstance(self.instruction, str) or not self.instruction.strip()):
            raise ConfigError(f"{where}: instruction is {self.instruction!r}, expected a text")
        _flag(where, "spinning", self.spinning)
        if self.stored is not None:
            _flag(where, "stored", self.stored)
        _number(where, "weight", self.weight, 0.0)
        if self.min_score is not None:
            _number(where, "min_score", self.min_score, -math.inf)
        if self.margin is not None:
            _number(where, "margin", self.margin, 0.0)
        if self.min_probability is not None:
            _number(where, "min_probability", self.min_probability, 0.0)
            if not 0.0 < self.min_probability < 1.0:
                raise ConfigError(f"{where}: min_probability is {self.min_probability}, expected between 0 and 1")
        if self.dynamic is not None and not isinstance(self.dynamic, Dynamic):
            raise ConfigError(f"{where}: dynamic is {self.dynamic!r}, expected Dynamic(mass=..., temperature=...)")


@dataclass(frozen=True, slots=True)
class CascadeConfig:
    """All settings of a cascade; ``base`` is the folder that relative model paths start from.

    ``fusion`` orders the candidates that reached the same stage: ``last`` (that stage's logit), ``rrf`` (reciprocal
    ranks, constant ``rrf_k``), ``convex`` (weighted sum of scores normalised within the query) or ``weighted``
    (weighted sum of calibrated log-odds). ``first_weight`` is the first pass's share; a weighted sum takes it only with
    ``first_calibration``, the fitted line ``(a, b)`` from its score to log-odds. ``workers`` single-threaded
    runs go side by side (default: one per core). ``max_candidates`` refuses larger requests, ``max_requests`` more
    requests at once than that (``OverloadedError``). A query that does not fit
    a model's window is an error unless ``truncate_query``. ``check_golden`` scores every model's golden pairs when the
    cascade is made and refuses a model that does not meet them. ``early_stop`` (fusion ``weighted`` alone) ends a stage
    when no candidate it has not scored can still get through, which changes nothing but the order of those cut off; a
    stage with min_score, min_probability or margin is scored in full.
    ``token_cache_mb`` bounds the cache of texts that repeat, per tokenizer that is not native (``cascaderank check``
    says which are); 0 switches it off. ``switch_interval_ms`` is how often a Python thread that never waits has to give
    way while a request is under way (``sys.setswitchinterval`` is lowered to it, and put back); 0 leaves the process's.
    """

    stages: tuple[Stage, ...]
    fusion: str = "last"
    normalisation: str = "z-score"
    rrf_k: float = 60.0
    first_weight: float = 1.0
    first_calibration: tuple[float, float] | None = None
    deadline_ms: float | None = None
    workers: int | None = None
    max_candidates: int = 10_000
    max_requests: int | None = None
    truncate_query: bool = False
    check_golden: bool = False
    early_stop: bool = False
    token_cache_mb: int = 16
    switch_interval_ms: float = 0.5
    base: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not self.stages:
            raise ConfigError("cascade: no stages; add at least one [[stage]]")
        for stage in self.stages:
            if not isinstance(stage, Stage):
                raise ConfigError(f"cascade: stages holds a {type(stage).__name__}, expected Stage")
        for number, (before, after) in enumerate(zip(self.stages, self.stages[1:], strict=False), start=2):
            if after.keep > before.keep:
                raise ConfigError(
                    f"stage[{number}].keep is {after.keep}, more than the {before.keep} that stage[{number - 1}] lets "
                    "through; a cut-off can only shrink"
                )
        _choice("cascade", "fusion", self.fusion, FUSIONS)
        _choice("cascade", "normalisation", self.normalisation, NORMALISATIONS)
        _number("cascade", "rrf_k", self.rrf_k, 0.0)
        _number("cascade", "weights.first", self.first_weight, 0.0)
        if self.first_calibration is not None:
            a, b = self.first_calibration
            _number("cascade", "first_calibration.a", a, 0.0)
            _number("cascade", "first_calibration.b", b, -math.inf)
            if a == 0.0:
                raise ConfigError("cascade: first_calibration.a is 0; a calibration must keep the order, a > 0")
        if self.deadline_ms is not None:
            check_deadline("cascade", self.deadline_ms)
        for key in ("workers", "max_requests"):
            if getattr(self, key) is not None:
                _integer("cascade", key, getattr(self, key), 1)
        _integer("cascade", "max_candidates", self.max_candidates, 1)
        _integer("cascade", "token_cache_mb", self.token_cache_mb, 0)
        _number("cascade", "switch_interval_ms", self.switch_interval_ms, 0.0)
        _flag("cascade", "truncate_query", self.truncate_query)
        _flag("cascade", "check_golden", self.check_golden)
        _flag("cascade", "early_stop", self.early_stop)
        if self.early_stop and self.fusion != "weighted":
            raise ConfigError(f"cascade: early_stop with fusion {self.fusion!r}; only 'weighted' can be decided early")
        if self.fusion in ("rrf", "convex", "weighted") and not any(stage.weight > 0 for stage in self.stages):
            raise ConfigError(f"cascade: fusion {self.fusion!r} over stages that all have weight 0")

    def for_documents(self, stored: bool) -> CascadeConfig:
        """The cascade for requests whose documents are known to lie all in the store, or not: the stages whose ``when``
        says otherwise are left out, so their models are not loaded. Raises ``ConfigError`` where no stage is left."""
        kept = (stage for stage in self.stages if stage.stored in (None, stored))
        return replace(self, stages=tuple(replace(stage, stored=None) for stage in kept))


def check_deadline(where: str, value: object) -> None:
    """A deadline is a positive, finite number of milliseconds."""
    _number(where, "deadline_ms", value, 0.0)
    if value == 0:
        raise ConfigError(f"{where}: deadline_ms is 0, expected a positive number of milliseconds")


def read_config(path: str | os.PathLike[str]) -> CascadeConfig:
    """Read a cascade file (DESIGN: a cascade file). Every error names the file and the key."""
    source = Path(path)
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{source}: cannot read the cascade file: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: not UTF-8 text: {error}") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from None
    return parse_config(table, str(source), source.parent)


def parse_config(table: Mapping[str, Any], where: str, base: Path | None = None) -> CascadeConfig:
    """Turn a parsed cascade file into settings; ``where`` names it in errors."""
    top = Reader(table, where, ConfigError)
    top.only(("cascade", "stage"))
    entries = table.get("stage", [])
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{where}: no [[stage]]; a cascade has at least one")
    values: dict[str, Any] = {}
    if "cascade" in table:
        section = top.section("cascade")
        section.only(_CASCADE_KEYS)
        values = dict(section.table)
        if "weights" in values:
            weights = section.section("weights")
            weights.only(("first",))
            del values["weights"]
            values["first_weight"] = weights.number("first", 1.0)
        if "first_calibration" in values:
            line = section.section("first_calibration")
            line.only(("a", "b"))
            values["first_calibration"] = line.number("a"), line.number("b")
    stages = tuple(_read_stage(entry, f"{where}: stage[{number}]") for number, entry in enumerate(entries, start=1))
    try:
        return CascadeConfig(stages=stages, base=base, **values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _read_stage(entry: object, where: str) -> Stage:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: expected a table, got {type(entry).__name__}")
    reader = Reader(entry, where, ConfigError)
    reader.only(_STAGE_KEYS)
    values = dict(entry)
    if "when" in values:
        when = reader.section("when")
        when.only(("candidates_over", "stored"))
        condition = values.pop("when")
        if "candidates_over" in condition:
            values["candidates_over"] = when.integer("candidates_over", minimum=1)
        if "stored" in condition:
            values["stored"] = when.flag("stored")
    if "dynamic" in values:
        dynamic = reader.section("dynamic")
        dynamic.only(("mass", "temperature"))
        try:
            values["dynamic"] = Dynamic(dynamic.number("mass"), dynamic.number("temperature", 1.0))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    reader.text("model")
    reader.integer("keep", minimum=1)
    try:
        return Stage(**values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _integer(where: str, key: str, value: object, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ConfigError(f"{where}: {key} is {value!r}, expected an integer of at least {minimum}")


def _number(where: str, key: str, value: object, minimum: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < minimum:
        limit = "a finite number" if minimum == -math.inf else f"a finite number of at least {minimum:g}"
        raise ConfigError(f"{where}: {key} is {value!r}, expected {limit}")


def _flag(where: str, key: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: {key} is {value!r}, expected true or false")


def _choice(where: str, key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{where}: {key} is {value!r}, expected one of {', '.join(allowed)}")
