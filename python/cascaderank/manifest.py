"""The input, output and golden sections of a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cascaderank.errors import ModelError
from cascaderank.tables import Reader

ROLES = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "past")
PAIRED = ("cross_encoder", "decoder")  # kinds that read query and document in one row
INSTRUCTION = "$instruction"
SCORES = {"none": 1, "sigmoid": 1, "softmax[1]": 2, "yes-no": 2}
POOLINGS = ("mean", "cls", "last_token", "none")


@dataclass(frozen=True, slots=True)
class Wording:
    """What is put around a text before it is tokenised as one with it: pieces may merge at the seams.

    A prompt of an encoder is left out where the caller wrote it already; with ``always`` (a decoder's template) a text
    that looks like the prefix is still only a text.
    """

    prefix: str = ""
    suffix: str = ""
    always: bool = False

    def around(self, text: str) -> str:
        """The text with its prefix and suffix."""
        if self.prefix and (self.always or not text.startswith(self.prefix)):
            text = self.prefix + text
        return text + self.suffix if self.suffix else text


@dataclass(frozen=True, slots=True)
class Input:
    """How texts become rows.

    ``pair`` (cross-encoder, decoder) or ``query`` and ``document`` (encoders) are templates: ``$query``, ``$document``
    or ``$text`` stand for a text, everything else is a token of ``tokenizer.json``. ``segments`` holds one segment id
    per template entry, or is empty when the graph has no ``token_type_ids``. ``names`` maps roles to graph input names.
    Decoders: ``instruction_prefix`` stands before the query's prefix where there is an instruction (the request's, the
    stage's, or the manifest's ``instruction``), which stands for its ``$instruction``; ``query_suffix`` ends the
    query's text.
    """

    pair: tuple[str, ...]
    query: tuple[str, ...]
    document: tuple[str, ...]
    segments: tuple[int, ...]
    query_prefix: str
    document_prefix: str
    query_suffix: str
    instruction_prefix: str
    instruction: str
    pad_token: str
    position_offset: int
    names: Mapping[str, str]
    always: bool

    def query_wording(self, instruction: str | None = None) -> Wording:
        """What stands around the query; ``instruction`` None: the manifest's own."""
        said = self.instruction if instruction is None else instruction
        before = self.instruction_prefix.replace(INSTRUCTION, said) if said else ""
        return Wording(before + self.query_prefix, self.query_suffix, self.always)

    @property
    def document_wording(self) -> Wording:
        return Wording(self.document_prefix, always=self.always)


@dataclass(frozen=True, slots=True)
class Output:
    """What the graph returns and how it becomes a score; unused fields keep their zero values.

    A squashed score is the sigmoid of ``(logit - center) / temperature``. ``present`` is the output of a decoder's
    graph that holds keys and values of its tokens, as its input ``past`` takes them.
    """

    name: str
    columns: int
    score: str
    dimension: int
    pooling: str
    normalize: bool
    query_length: int
    mask_token: str
    attend_to_expansion: bool
    skip_tokens: tuple[str, ...]
    length_normalize: bool
    present: str
    center: float
    temperature: float

    @property
    def squashed(self) -> bool:
        """Whether the shown score is the sigmoid of the logit."""
        return self.score in ("sigmoid", "softmax[1]", "yes-no")


@dataclass(frozen=True, slots=True)
class GoldenPair:
    """A fixed pair and the raw logit it has to get; ``document`` is its text repeated ``repeat`` times."""

    query: str
    text: str
    repeat: int
    logit: float

    @property
    def document(self) -> str:
        return self.text * self.repeat


@dataclass(frozen=True, slots=True)
class Golden:
    """What a model is checked by wherever it runs: raw logits of fixed pairs (an encoder's dot product or MaxSim).

    ``template`` is the hash of what makes their tokens rows (``cascaderank.golden.template_hash``).
    """

    template: str
    tolerance: float
    pairs: tuple[GoldenPair, ...]


def read_golden(reader: Reader) -> Golden:
    """Read ``[golden]``."""
    pairs = []
    for number, entry in enumerate(reader.tables("pairs"), start=1):
        text, logit = entry.text("document"), entry.number("logit")
        pairs.append(GoldenPair(entry.text("query"), text, entry.integer("repeat", 1, minimum=1), logit))
        if not pairs[-1].query:
            raise ModelError(f"{reader.where}: pairs[{number}] has an empty query")
    tolerance = reader.number("tolerance")
    if not pairs or tolerance <= 0:
        raise ModelError(f"{reader.where}: {len(pairs)} pairs with tolerance {tolerance}; at least one, above 0")
    return Golden(reader.text("template"), tolerance, tuple(pairs))


def read_input(reader: Reader, kind: str) -> Input:
    """Read ``[input]``; which templates are required depends on ``kind``."""
    names_reader = reader.section("names")
    names = {role: names_reader.text(role) for role in names_reader.table}
    unknown = sorted(set(names) - set(ROLES))
    if unknown or "input_ids" not in names:
        raise ModelError(f"{names_reader.where}: has {sorted(names)}, expected input_ids and any of {ROLES[1:]}")
    pair = query = document = ()  # type: tuple[str, ...]
    if kind in PAIRED:
        pair = _template(reader, "pair", ("$query", "$document"))
    else:
        query = _template(reader, "query", ("$text",))
        document = _template(reader, "document", ("$text",))
    given = reader.table.get("segments", [])
    if not isinstance(given, list) or any(type(item) is not int or item < 0 for item in given):
        raise ModelError(f"{reader.where}: segments is {given!r}, expected a list of segment ids")
    segments = tuple(given)
    if bool(segments) != ("token_type_ids" in names):
        raise ModelError(
            f"{reader.where}: segments and names.token_type_ids go together; the graph either has that input or not"
        )
    for name, template in (("pair", pair), ("query", query), ("document", document)):
        if template and segments and len(segments) != len(template):
            raise ModelError(f"{reader.where}: {len(segments)} segments for the {len(template)} entries of {name}")
    before = reader.text("instruction_prefix", "")
    if before and INSTRUCTION not in before:
        raise ModelError(f"{reader.where}: instruction_prefix {before!r} does not say where {INSTRUCTION} stands")
    return Input(
        pair=pair,
        query=query,
        document=document,
        segments=segments,
        query_prefix=reader.text("query_prefix", ""),
        document_prefix=reader.text("document_prefix", ""),
        query_suffix=reader.text("query_suffix", ""),
        instruction_prefix=before,
        instruction=reader.text("instruction", ""),
        pad_token=reader.text("pad_token"),
        position_offset=reader.integer("position_offset", 0),
        names=names,
        always=kind == "decoder",
    )


def read_output(reader: Reader, kind: str) -> Output:
    """Read ``[output]``; which keys are required depends on ``kind``."""
    name = reader.text("name")
    columns, score, dimension, pooling, normalize = 1, "none", 0, "none", False
    query_length, mask_token, attend, length_normalize = 0, "", False, False
    skip: tuple[str, ...] = ()
    if kind in PAIRED:
        columns = reader.integer("columns", 1, minimum=1)
        score = reader.choice("score", tuple(SCORES))
        if columns != SCORES[score]:
            raise ModelError(f"{reader.where}: score {score!r} reads {SCORES[score]} column(s), columns is {columns}")
    else:
        dimension = reader.integer("dimension", minimum=1)
        normalize = reader.flag("normalize", True)
        if kind == "bi_encoder":
            pooling = reader.choice("pooling", POOLINGS)
        else:
            query_length = reader.integer("query_length", 0)
            mask_token = reader.text("mask_token", "")
            attend = reader.flag("attend_to_expansion", False)
            skip = reader.texts("skip_tokens", [])
            length_normalize = reader.flag("length_normalize", False)
            if query_length and not mask_token:
                raise ModelError(f"{reader.where}: query_length {query_length} pads queries with mask_token; name it")
    center, temperature = reader.number("center", 0.0), reader.number("temperature", 1.0)
    if temperature <= 0:
        raise ModelError(f"{reader.where}: temperature {temperature}; above 0, a score must keep the order")
    return Output(
        name, columns, score, dimension, pooling, normalize, query_length, mask_token, attend, skip, length_normalize,
        reader.text("present", ""), center, temperature,
    )  # fmt: skip


def _template(reader: Reader, key: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    template = reader.texts(key)
    found = tuple(entry for entry in template if entry.startswith("$"))
    if found != texts:
        raise ModelError(f"{reader.where}: {key} is {list(template)!r}, expected {' then '.join(texts)} once each")
    return template
