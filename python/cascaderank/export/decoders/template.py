"""A decoder's template, read from a TOML file: the texts around query and document, and the answers compared."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from cascaderank.errors import ModelError
from cascaderank.manifest import INSTRUCTION
from cascaderank.tables import Reader

FOLDER = Path(__file__).parent / "templates"
TOKENISED = ("pieces", "body")
SCORES = ("none", "sigmoid")


@dataclass(frozen=True, slots=True)
class DecoderTemplate:
    """One published (or a user's) template. A row is

        before · [instruction_prefix] query_prefix QUERY query_suffix · between · document_prefix DOCUMENT · after

    where what stands between two dots is tokenised as one text; ``before``, ``between`` and ``after`` are lists of such
    texts and may hold special tokens. A special token written in a query or a document stays text. The document alone
    is ever cut.

    ``yes`` and ``no`` are the answers whose logits at the last token are compared, each one token; ``no`` is empty
    where the logit of ``yes`` alone is the score. ``score``, ``center`` and ``temperature`` make the shown score, as in
    a manifest. ``tokenised`` is how the authors' own code splits the row, which the parity gate repeats: in "pieces" as
    above, or with everything between ``before`` and ``after`` as one text ("body"). ``encoder_decoder``: for models
    whose encoder reads the row and whose decoder answers (T5).
    """

    name: str
    before: tuple[str, ...]
    instruction_prefix: str
    instruction: str
    query_prefix: str
    query_suffix: str
    between: tuple[str, ...]
    document_prefix: str
    after: tuple[str, ...]
    yes: str
    no: str
    score: str
    center: float
    temperature: float
    tokenised: str
    max_length: int | None
    encoder_decoder: bool


def template_names() -> list[str]:
    """The templates that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_template(template: str) -> DecoderTemplate:
    """A template that comes with the package, by name, or a TOML file. Raises ``ModelError`` naming file and key."""
    known = template_names()
    path = FOLDER / f"{template}.toml" if template in known else Path(template)
    if not path.is_file():
        raise ModelError(f"template {template!r}: neither a file nor one of {', '.join(known)}")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not valid TOML: {error}") from None
    return template_of(Reader({"name": path.stem, **table}, str(path), ModelError))


def template_of(reader: Reader) -> DecoderTemplate:
    """A template from its table: a file's, or the ``[template]`` that an exported manifest keeps."""
    path, table = reader.where, reader.table
    if unknown := sorted(set(table) - set(DecoderTemplate.__slots__)):
        keys = ", ".join(sorted(DecoderTemplate.__slots__))
        raise ModelError(f"{path}: unknown key {unknown[0]!r}; a template has {keys}")
    found = DecoderTemplate(
        name=reader.text("name"),
        before=reader.texts("before", []),
        instruction_prefix=reader.text("instruction_prefix", ""),
        instruction=reader.text("instruction", ""),
        query_prefix=reader.text("query_prefix", ""),
        query_suffix=reader.text("query_suffix", ""),
        between=reader.texts("between", []),
        document_prefix=reader.text("document_prefix", ""),
        after=reader.texts("after"),
        yes=reader.text("yes"),
        no=reader.text("no", ""),
        score=reader.choice("score", SCORES),
        center=reader.number("center", 0.0),
        temperature=reader.number("temperature", 1.0),
        tokenised=reader.choice("tokenised", TOKENISED),
        max_length=reader.integer("max_length", minimum=8) if "max_length" in table else None,
        encoder_decoder=reader.flag("encoder_decoder", False),
    )
    if bool(found.instruction_prefix) != (INSTRUCTION in found.instruction_prefix):
        raise ModelError(f"{path}: instruction_prefix does not say where {INSTRUCTION} stands")
    if found.instruction and not found.instruction_prefix:
        raise ModelError(f"{path}: instruction without instruction_prefix; say where it stands")
    if found.tokenised == "body" and found.between:
        raise ModelError(f"{path}: between cannot stand inside a body that is one text; write it into query_suffix")
    if not found.after or not found.yes:
        raise ModelError(
            f"{path}: after and yes are empty; the answer follows after, and yes is what it is compared to"
        )
    return found
