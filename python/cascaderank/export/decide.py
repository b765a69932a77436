"""Decides how a model is run, from its own files and the caller's options; what cannot be decided is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cascaderank.errors import ModelError
from cascaderank.export.chain import check_modules
from cascaderank.export.decoders import DecoderTemplate, decide_decoder
from cascaderank.export.families import Family, family_of, usable_positions
from cascaderank.export.hints import activation, kind_of_files, labels, pooling_of, prefix
from cascaderank.export.source import Module, Source
from cascaderank.manifest import POOLINGS, SCORES
from cascaderank.model import KINDS


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller may decide; None leaves it to the model's files."""

    kind: str | None = None
    max_length: int | None = None
    score: str | None = None
    pooling: str | None = None
    normalize: bool | None = None
    query_prefix: str | None = None
    document_prefix: str | None = None
    template: DecoderTemplate | str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How the model is run. ``head`` are the modules after the transformer that the graph has to contain.

    ``pooling`` is what the engine does after the graph ("none": nothing), ``graph_pooling`` what the graph does before
    ``head``. Late interaction: ``query_marker`` and ``document_marker`` are tokens put after the first token. Decoders
    are run as ``template`` says.
    """

    kind: str
    family: Family
    max_length: int
    columns: int
    score: str
    pooling: str
    graph_pooling: str
    normalize: bool
    head: tuple[Module, ...]
    query_prefix: str
    document_prefix: str
    query_marker: str
    document_marker: str
    query_length: int
    attend_to_expansion: bool
    skip_tokens: tuple[str, ...]
    template: DecoderTemplate | None = None

    @property
    def composed(self) -> bool:
        """Whether the graph holds more than the transformer."""
        return bool(self.head) or self.graph_pooling != "none"


def decide(source: Source, options: Options, tokenizer_limit: int | None) -> Decision:
    """``tokenizer_limit`` is the tokenizer's own model_max_length, None where it names none.

    Raises ``ModelError`` naming the option that would settle what the files leave open.
    """
    where = source.name
    kind = _kind(source, options)
    if kind == "decoder":
        return _decoder(source, options, tokenizer_limit)
    if options.template is not None:
        raise ModelError(f"{where}: template {options.template!r} was given, but only decoders take one")
    family = family_of(source.config, where)
    head = check_modules(source, family, kind)
    base = Decision(
        kind=kind,
        family=family,
        max_length=_max_length(source, options, family, tokenizer_limit),
        columns=0,
        score="none",
        pooling="none",
        graph_pooling="none",
        normalize=False,
        head=head,
        query_prefix=prefix(source, options.query_prefix, "query"),
        document_prefix=prefix(source, options.document_prefix, "document"),
        query_marker="",
        document_marker="",
        query_length=0,
        attend_to_expansion=False,
        skip_tokens=(),
    )
    if kind == "cross_encoder":
        return _cross_encoder(source, options, base)
    if kind == "bi_encoder":
        return _bi_encoder(source, options, base)
    return _late_interaction(source, options, base)


def _kind(source: Source, options: Options) -> str:
    if options.kind is not None and options.kind not in KINDS:
        raise ModelError(f"{source.name}: kind {options.kind!r}; expected one of {', '.join(KINDS)}")
    found = kind_of_files(source)
    if options.kind is not None and found is not None and options.kind != found:
        raise ModelError(f"{source.name}: kind {options.kind!r} was asked for, but its files are those of a {found}")
    kind = options.kind or found
    if kind is None:
        raise ModelError(
            f"{source.name}: {source.config.get('architectures')} without modules.json may be any kind of encoder; "
            "say which with kind (--kind bi_encoder) and pooling (--pooling mean)"
        )
    if kind == "late_interaction" and found is None:
        raise ModelError(f"{source.name}: late interaction needs the projection that modules.json names; there is none")
    if kind == "cross_encoder" and found is None:
        raise ModelError(f"{source.name}: {source.config.get('architectures')} has no classification head")
    return kind


def _max_length(source: Source, options: Options, family: Family, tokenizer_limit: int | None) -> int:
    usable = usable_positions(family, source.config, source.name)
    if options.max_length is not None:
        if not 8 <= options.max_length <= usable:
            raise ModelError(f"{source.name}: max_length {options.max_length}; this model takes 8 to {usable} tokens")
        return options.max_length
    limits = [usable, tokenizer_limit, source.max_seq_length]
    if "document_length" in source.settings:
        # PyLate leaves whatever its last call set in the other two.
        limits = [usable, source.settings["document_length"]]
    return min(limit for limit in limits if isinstance(limit, int) and limit > 0)


def _cross_encoder(source: Source, options: Options, base: Decision) -> Decision:
    if not base.family.pair:
        raise ModelError(
            f"{source.name}: a {source.config.get('model_type')} model reads query and document through a prompt, "
            "which its files do not hold; as a reranker it is of kind decoder (--kind decoder)"
        )
    columns, graph_pooling = labels(source.config), "none"
    dense = [module for module in base.head if module.kind == "Dense"]
    if dense:  # a cross-encoder put together from modules
        columns = int(dense[-1].config.get("out_features", 0))
        graph_pooling = pooling_of(source)
    if columns not in (1, 2):
        raise ModelError(f"{source.name}: {columns} labels; a cross-encoder has 1, or 2 with the second one relevant")
    score = options.score or ("softmax[1]" if columns == 2 else activation(source))
    if score not in SCORES or SCORES[score] != columns:
        fitting = ", ".join(name for name, count in SCORES.items() if count == columns)
        raise ModelError(f"{source.name}: score {score!r} for {columns} column(s); expected one of {fitting}")
    return replace(base, columns=columns, score=score, graph_pooling=graph_pooling)


def _bi_encoder(source: Source, options: Options, base: Decision) -> Decision:
    named = any(module.kind == "Pooling" for module in source.modules)
    pooling = pooling_of(source) if named else options.pooling
    if pooling is None:
        raise ModelError(f"{source.name}: nothing says how tokens are pooled; choose pooling (--pooling mean or cls)")
    if not named and (pooling not in POOLINGS or pooling == "none"):
        raise ModelError(f"{source.name}: pooling {pooling!r}; expected mean, cls or last_token")
    if options.pooling not in (None, pooling):
        raise ModelError(f"{source.name}: pooling {options.pooling!r} was asked for, its modules say {pooling!r}")
    if base.query_prefix or base.document_prefix:
        module = next((module for module in source.modules if module.kind == "Pooling"), None)
        if module is not None and module.config.get("include_prompt") is False:
            raise ModelError(f"{source.name}: pools without the prompt (include_prompt false), which is not supported")
    own = any(module.kind == "Normalize" for module in source.modules)
    # Without modules.json nothing says it; cosine is what nearly all of these models are compared by.
    normalize = options.normalize if options.normalize is not None else own or not source.modules
    # The engine pools by these; other modes, and what has a head behind it, are pooled in the graph.
    inside = bool(base.head) or pooling not in POOLINGS
    return replace(
        base,
        pooling="none" if inside else pooling,
        graph_pooling=pooling if inside else "none",
        normalize=normalize,
    )


def _late_interaction(source: Source, options: Options, base: Decision) -> Decision:
    settings = source.settings
    expansion = settings.get("do_query_expansion", True)
    return replace(
        base,
        normalize=options.normalize is not False,
        # Markers are tokens, put in by id; a prompt in front of the text is something else.
        query_marker=str(settings.get("query_prefix") or ""),
        document_marker=str(settings.get("document_prefix") or ""),
        query_length=int(settings.get("query_length") or 32) if expansion else 0,
        attend_to_expansion=bool(settings.get("attend_to_expansion_tokens", False)),
        skip_tokens=tuple(settings.get("skiplist_words") or ()),
    )


def _decoder(source: Source, options: Options, tokenizer_limit: int | None) -> Decision:
    template, max_length = decide_decoder(source, options, tokenizer_limit)
    family = Family(
        f"decoder, {template.name}", (str(source.config["model_type"]),), (), (), "from 0", segments=False, published=()
    )
    return Decision(
        kind="decoder",
        family=family,
        max_length=max_length,
        columns=1,
        score=template.score,
        pooling="none",
        graph_pooling="none",
        normalize=False,
        head=(),
        query_prefix=template.query_prefix,
        document_prefix=template.document_prefix,
        query_marker="",
        document_marker="",
        query_length=0,
        attend_to_expansion=False,
        skip_tokens=(),
        template=template,
    )
