"""``cascaderank demo``: a three-stage cascade over the documentation that the running Python carries."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cascaderank.cli.arguments import add_cascade, add_command, open_cascade, positive_integer

if TYPE_CHECKING:
    from cascaderank.cascade import Cascade
    from cascaderank.cli.demo_show import Show
    from cascaderank.demo.search import Search
    from cascaderank.demo.vectors import Vectors
    from cascaderank.documents import Document
    from cascaderank.evaluate.quality import StageOrders

_TEXT = """\
Search the documentation of the running Python (docstrings of the standard library, the topics of help()): BM25 finds
1000 candidates, the cascade brings 5 answers up, and every stage shows what it did and what it cost.

The passages' vectors are computed on the first start (under a minute on two cores) and kept in the user's cache
($XDG_CACHE_HOME/cascaderank or ~/.cache/cascaderank). Without a question three built-in ones are answered; on a
terminal you can then ask your own.
"""
_EXAMPLES = """\
  cascaderank demo
  cascaderank demo "run a function when the program exits"
  cascaderank demo --interactive --top 10
  cascaderank demo "merge two dicts" --cascade cascade.toml
"""
QUESTIONS = (
    "create a folder and all missing parents",
    "run a function when the program exits",
    "visit every file in a directory tree",
)


def add_parser(commands: Any) -> None:
    parser = add_command(commands, "demo", "search Python's own documentation, explained", _TEXT, _EXAMPLES)
    parser.add_argument("questions", metavar="QUESTION", nargs="*", help="what you would ask; quote each question")
    parser.add_argument("--interactive", action="store_true", help="ask on after the questions, also from a pipe")
    parser.add_argument("--top", type=positive_integer, default=5, metavar="N", help="answers to print; default: 5")
    parser.add_argument("--no-cache", action="store_true", help="compute the vectors now, and keep nothing")
    add_cascade(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from cascaderank.cascade import Cascade
    from cascaderank.cli.demo_show import Show
    from cascaderank.cli.terminal import busy, console
    from cascaderank.demo.search import Search
    from cascaderank.documents import check_query
    from cascaderank.evaluate.quality import stage_orders
    from cascaderank.evaluate.variants import last_alone

    screen = console()
    for question in options.questions:
        check_query(question)
    with open_cascade(options.cascade, stored=True) as cascade:
        show = Show(screen, cascade)
        documents = read_documents()
        show.opening(len(documents))
        vectors = load_vectors(cascade, documents, use_cache=not options.no_cache)
        show.vectors(vectors)
        with busy("indexing"):
            search = Search(documents, vectors.store)
            cascade.warm_up()
        with stage_orders(cascade) as orders, Cascade(last_alone(cascade.config)) as alone:
            alone.warm_up()
            demo = _Demo(show, search, cascade, orders, alone, options.top)
            for question in options.questions or (() if options.interactive else QUESTIONS):
                demo.answer(question)
            if options.interactive or (not options.questions and sys.stdin.isatty() and sys.stdout.isatty()):
                demo.ask()
    return 0


def read_documents() -> list[Document]:
    """The corpus, with a bar."""
    from cascaderank.cli.terminal import progress
    from cascaderank.demo.corpus import read_corpus

    with progress("reading Python's documentation: modules") as report:
        return read_corpus(report)


def load_vectors(cascade: Cascade, documents: list[Document], *, use_cache: bool = True) -> Vectors:
    """The corpus's vectors, with a bar where they are computed."""
    from cascaderank.cli.terminal import progress
    from cascaderank.demo.vectors import load_or_encode

    with progress("computing the passages' vectors, once") as report:
        return load_or_encode(cascade, documents, use_cache=use_cache, progress=report)


class _Demo:
    def __init__(
        self, show: Show, search: Search, cascade: Cascade, orders: StageOrders, alone: Cascade, top: int
    ) -> None:
        self._show = show
        self._search = search
        self._cascade = cascade
        self._orders = orders
        self._alone = alone
        self._top = top

    def answer(self, question: str) -> None:
        search, show = self._search, self._show
        first = search.first_pass(question)
        ranking = first.rank_by(self._cascade, search.store, top_n=self._top)
        show.question(question, len(first.ids), ranking)
        orders = self._orders.find(first.ids, lambda variant: first.rank_by(variant, search.store))
        answers = search.answers(first, ranking, orders)
        show.answers(answers)
        show.stages(answers, ranking)
        if self._cascade.models[-1].kind == "cross_encoder":
            show.alternative(search.time_alternative(first, self._alone), ranking)

    def ask(self) -> None:
        """Until an empty line or the end of the input."""
        from cascaderank.cli.terminal import say
        from cascaderank.errors import InputError

        with suppress(ImportError):
            import readline  # noqa: F401  input() then has history and editing
        prompt = "\nask (empty line ends): " if sys.stdin.isatty() else ""
        while True:
            try:
                question = input(prompt)
            except EOFError:
                return
            if not question.strip():
                return
            try:
                self.answer(question)
            except InputError as error:  # too long a question, say: the next one may be fine
                say(f"cascaderank: error: {error}")
