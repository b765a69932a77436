"""The labelled collection of a command's options: judgements, and every query's candidates."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cascaderank.errors import InputError

if TYPE_CHECKING:
    from cascaderank.cascade import Cascade
    from cascaderank.config import Stage
    from cascaderank.evaluate import BeirData
    from cascaderank.evaluate.requests import Request
    from cascaderank.store import Store


@dataclass(frozen=True, slots=True)
class Labelled:
    """``what`` names the collection, its split and where the candidates come from; ``store`` holds the whole corpus
    where a dense first pass had it encoded."""

    data: BeirData
    requests: list[Request]
    what: str
    packaged: bool
    store: Store | None

    @property
    def qrels(self) -> dict[str, dict[str, int]]:
        return self.data.qrels

    def encode(self, cascade: Cascade, file: Path | None) -> Store:
        """The candidates encoded ahead for the models of ``cascade``."""
        from cascaderank.cli.collection import encode_candidates

        return encode_candidates(cascade, self.data, self.requests, file, packaged=self.packaged)


def read_labelled(options: argparse.Namespace, cascade: Cascade | None) -> Labelled:
    """Read the collection and find the candidates; ``cascade`` has the bi-encoder of a dense first pass; None: none."""
    from cascaderank.evaluate.requests import evenly

    found = find_candidates(options, cascade, *read_judgements(options))
    return found if options.queries is None else replace(found, requests=evenly(found.requests, options.queries))


def find_candidates(options: argparse.Namespace, cascade: Cascade | None, data: BeirData, what: str) -> Labelled:
    """``read_labelled`` of judgements that were read before; ``what`` is what to call them."""
    requests, how, store = _find_candidates(options, cascade, data)
    return Labelled(data, requests, f"{what}, {how}", _is_packaged(options), store)


def _is_packaged(options: argparse.Namespace) -> bool:
    return options.data is None and options.corpus is None


def read_judgements(options: argparse.Namespace) -> tuple[BeirData, str]:
    """The collection and what to call it."""
    from cascaderank.cli.collection import name_of, read_collection
    from cascaderank.evaluate.data import find_file
    from cascaderank.evaluate.trec import read_judged

    split = options.split or "dev"
    given = (options.corpus, options.queries_file, options.qrels)
    if not any(given):
        data, what = read_collection(options.data, options.split, "dev")
    elif options.data is not None:
        folder = options.data
        data = read_judged(
            options.corpus or find_file(folder, "corpus.jsonl"),
            options.queries_file or find_file(folder, "queries.jsonl"),
            options.qrels or folder / "qrels" / f"{split}.tsv",
        )
        what = f"{name_of(folder.resolve())}, {name_of(options.qrels) if options.qrels else split}"
    else:
        if not all(given):
            options.parser.error("--corpus, --queries-file and --qrels go together where there is no --data")
        data = read_judged(*given)
        what = f"{name_of(options.corpus)}, {name_of(options.qrels)}"
    if not data.queries:
        raise InputError(f"{what}: no judged query with a relevant document; nothing can be measured")
    return data, what


def _find_candidates(
    options: argparse.Namespace, cascade: Cascade | None, data: BeirData
) -> tuple[list[Request], str, Store | None]:
    """The requests, what found them, and the corpus's store where one was needed for that."""
    from cascaderank.cli.collection import name_of
    from cascaderank.cli.terminal import progress
    from cascaderank.evaluate.candidates import requests_by_vectors, requests_from_run
    from cascaderank.evaluate.requests import make_requests
    from cascaderank.evaluate.trec import read_run

    if options.run_file is not None:
        return requests_from_run(data, read_run(options.run_file), options.candidates), name_of(options.run_file), None
    if options.first_pass == "bm25":
        with progress("first pass: queries") as report:
            return make_requests(data, options.candidates, report), "BM25", None
    if cascade is None:
        raise InputError(
            f"--first-pass {options.first_pass}: no cascade is at hand whose bi-encoder could search; use bm25 or --run"
        )
    stage, store = _encode_corpus(options, cascade, data)
    hybrid = options.first_pass == "hybrid"
    with progress("first pass: queries") as report:
        requests = requests_by_vectors(
            data, cascade.config, stage, store, options.candidates, hybrid=hybrid, progress=report
        )
    name = Path(stage.model).name
    return requests, f"BM25 + {name}" if hybrid else name, store


def _encode_corpus(options: argparse.Namespace, cascade: Cascade, data: BeirData) -> tuple[Stage, Store]:
    """The cascade's first bi-encoder stage that meets stored documents, and a store with its vectors of the corpus."""
    from cascaderank.cli.collection import open_documents
    from cascaderank.cli.demo import load_vectors
    from cascaderank.cli.terminal import progress
    from cascaderank.documents import Document

    stages = zip(cascade.config.stages, cascade.models, strict=True)
    found = (stage for stage, spec in stages if spec.kind == "bi_encoder" and stage.stored is not False)
    model = next(found, None)
    if model is None:
        raise InputError(f"--first-pass {options.first_pass}: the cascade has no bi-encoder to search with; use bm25")
    documents = [Document(name, text) for name, text in data.corpus.items()]
    if _is_packaged(options):
        return model, load_vectors(cascade, documents).store
    if options.store is not None and options.store.exists():
        return model, open_documents(cascade, options.store, documents, "documents")
    with progress("encoding the corpus, ahead of the requests") as report:
        store = cascade.encode(documents, report)
    if options.store is not None:
        store.save(options.store)
    return model, store
