"""One module per kind of scorer, and the loader that makes them from stage settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cascaderank.config import Stage
from cascaderank.errors import ModelError
from cascaderank.model import ModelSpec, find_folder, load_spec
from cascaderank.providers import SessionOptions
from cascaderank.schedule import Workers
from cascaderank.session import Session
from cascaderank.stages.base import Counts, ModelPart, Scored, Scorer, check_precision, plan_rule
from cascaderank.stages.bi_encoder import BiEncoder
from cascaderank.stages.cross_encoder import CrossEncoder
from cascaderank.stages.decoder import Decoder
from cascaderank.stages.late_interaction import LateInteraction
from cascaderank.tokenizer import TextTokenizer, load_tokenizer

__all__ = ["BiEncoder", "Counts", "CrossEncoder", "Decoder", "LateInteraction", "Loader", "Scored", "Scorer"]

_KINDS: dict[str, Callable[[ModelPart], Scorer]] = {
    "cross_encoder": CrossEncoder,
    "decoder": Decoder,
    "bi_encoder": BiEncoder,
    "late_interaction": LateInteraction,
}


class Loader:
    """Makes scorers; stages that use the same folder the same way share a session, equal tokenizer files an object."""

    def __init__(self, workers: Workers, base: Path | None, token_cache_mb: int = 0) -> None:
        self._workers = workers
        self._token_cache_bytes = token_cache_mb << 20
        self._base = base
        self._specs: dict[Path, ModelSpec] = {}
        self._sessions: dict[tuple[str, SessionOptions], Session] = {}
        self._tokenizers: dict[str, TextTokenizer] = {}

    def load(self, stage: Stage) -> Scorer:
        folder = find_folder(stage.model, self._base).resolve()
        if folder not in self._specs:
            self._specs[folder] = load_spec(folder)
        spec = self._specs[folder]
        check_precision(stage, spec)
        if stage.min_score is not None and spec.output.squashed and not 0.0 < stage.min_score < 1.0:
            raise ModelError(
                f"stage {spec.name!r}: min_score {stage.min_score} for a score between 0 and 1 ({spec.output.score}); "
                "give a value strictly between"
            )
        if stage.instruction is not None and not spec.input.instruction_prefix:
            raise ModelError(
                f"stage {spec.name!r}: an instruction was given, but this {spec.kind} takes none (no "
                "input.instruction_prefix in model.toml); remove it"
            )
        spec = spec.told(stage.instruction)
        options = SessionOptions(
            stage.provider, stage.device, stage.threads or 1, stage.spinning, bf16=stage.precision == "bf16"
        )
        tokenizer = self._tokenizer(spec)
        session = self._sessions.get((spec.digest, options))
        if session is None:
            session = self._sessions[spec.digest, options] = Session(spec, options)
        rule = plan_rule(stage, spec, session)
        return _KINDS[spec.kind](ModelPart(spec, session, tokenizer, self._workers, rule, stage.instruction))

    def _tokenizer(self, spec: ModelSpec) -> TextTokenizer:
        digest = spec.files["tokenizer.json"]
        known = self._tokenizers.get(digest)
        if known is None or known.vocab_size > spec.vocab_size:  # a misfit is refused by the loader below
            known = self._tokenizers[digest] = load_tokenizer(spec, self._token_cache_bytes)
        return known
