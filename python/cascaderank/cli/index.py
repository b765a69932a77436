"""``cascaderank index``: tokens and vectors of known documents, computed once and kept in a store folder."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from cascaderank.cli.arguments import add_cascade, add_command

_TEXT = """\
Encode documents for a cascade and keep the result in the folder STORE: token ids for every stage, and vectors for
bi-encoders and late interaction. `rank(query, ids=[...], store=Store.open(STORE))` then tokenises the query alone.

CORPUS is JSON lines {"id": ..., "text": ..., "title": ...} (title is optional) or BEIR's corpus.jsonl, also with .gz. A
store belongs to the models that made it: with other models it is refused, naming the command that makes it anew.

A commit follows every 65536 documents; what is committed survives a crash at any moment. An interrupted run goes on
with the same command and --append, which leaves out documents that are stored already with the same text.
"""
_EXAMPLES = """\
  cascaderank index docs.jsonl docs.store
  cascaderank index corpus.jsonl.gz docs.store --cascade cascade.toml --vectors int8
  cascaderank index more.jsonl docs.store --append        add documents; a new text of a known id replaces the old one
  cascaderank index docs.store --delete ids.txt           one id a line
  cascaderank index docs.store --compact                  one segment again, without deleted documents
  cascaderank check docs.store                            every byte against its checksum
"""


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "index", "compute tokens and vectors ahead, into a store", _TEXT, _EXAMPLES)
    parser.add_argument("paths", metavar="CORPUS ... STORE", nargs="+", type=Path, help="the store comes last")
    add_cascade(parser)
    parser.add_argument(
        "--vectors",
        choices=("fp32", "fp16", "int8"),
        help="how vectors are kept: default fp32, or as the store has them. fp16 takes half the room, int8 a quarter",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--append", action="store_true", help="add to an existing store")
    how.add_argument("--replace", action="store_true", help="make an existing store anew, from its first commit on")
    how.add_argument("--delete", type=Path, metavar="IDS_FILE", help="delete the documents with these ids")
    how.add_argument("--compact", action="store_true", help="merge all segments into one")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    *corpora, folder = options.paths
    if options.delete is not None or options.compact:
        if corpora or options.cascade is not None or options.vectors is not None:
            options.parser.error("--delete and --compact take the store alone; its documents are not encoded again")
        return _delete(folder, options.delete) if options.delete is not None else _compact(folder)
    if not corpora:
        options.parser.error("no CORPUS; give at least one file, then the store")
    return _index(options, corpora, folder)


def _index(options: argparse.Namespace, corpora: list[Path], folder: Path) -> int:
    from cascaderank.cli.arguments import open_cascade
    from cascaderank.cli.corpus import count_documents, read_corpus
    from cascaderank.cli.store_show import cut_documents
    from cascaderank.cli.terminal import counted, progress
    from cascaderank.errors import StoreError
    from cascaderank.indexing import index_documents
    from cascaderank.store import Store, is_store

    there = is_store(folder)
    if there and not options.append and not options.replace:
        raise StoreError(f"{folder}: a store is there already; --append adds to it, --replace makes it anew")
    if options.append and not there:
        raise StoreError(f"{folder}: no store to append to; leave --append out to make one")
    vectors = options.vectors or (Store.open(folder).schema.precision if options.append else "fp32")
    total = count_documents(corpora)
    with open_cascade(options.cascade, stored=True) as cascade, progress("encoding documents") as bar:
        report = index_documents(
            cascade,
            read_corpus(corpora),
            folder,
            vectors=vectors,
            append=options.append,
            rebuild="" if options.append else _rebuild(options, corpora, folder, vectors),
            progress=lambda done: bar(done, total),
        )
        schema = cascade.store_schema(vectors)
    was = "was" if report.unchanged == 1 else "were"
    same = f", {report.unchanged} {was} stored already" if report.unchanged else ""
    print(f"{folder}: {counted(report.documents, 'document')}; {report.added} encoded{same}")
    for line in cut_documents(schema, report.truncated):
        print(f"  {line}")
    return 0


def _rebuild(options: argparse.Namespace, corpora: list[Path], folder: Path, vectors: str) -> str:
    """The command to repeat this run wherever it is typed: paths are absolute."""
    words = ["cascaderank", "index", *(str(path.absolute()) for path in (*corpora, folder)), "--replace"]
    if options.cascade is not None:
        words += ["--cascade", str(options.cascade.absolute())]
    return shlex.join([*words, "--vectors", vectors])


def _delete(folder: Path, file: Path) -> int:
    from cascaderank.cli.corpus import read_id_lines
    from cascaderank.cli.terminal import counted
    from cascaderank.store import Writer

    ids = read_id_lines(file)
    with Writer(folder) as writer:
        count = writer.delete(ids)
        if count:
            writer.commit()
        print(f"{folder}: {count} of {counted(len(ids), 'id')} deleted; {counted(len(writer.store), 'document')}")
    return 0


def _compact(folder: Path) -> int:
    from cascaderank.cli.terminal import counted
    from cascaderank.store import Writer

    with Writer(folder) as writer:
        before = len(writer.store.segments)
        writer.compact()
        print(
            f"{folder}: {counted(before, 'segment')} before, {len(writer.store.segments)} now; "
            f"{counted(len(writer.store), 'document')}"
        )
    return 0
