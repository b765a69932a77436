"""What is shown where: results on stdout, everything else on stderr, colours and bars on terminals only."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cascaderank.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.console import Console

Report = Callable[[int, int], None]

_PIPE_WIDTH = 140  # columns where nobody said how wide the reader's screen is
_SAY_AFTER_S = 1.0


def console(*, stderr: bool = False) -> Console:
    """A rich console for stdout or stderr; it leaves colours out where NO_COLOR is set or nobody watches.

    Raises ``MissingExtraError`` where rich is not installed.
    """
    try:
        from rich.console import Console
    except ImportError as error:
        raise MissingExtraError(
            "tables and progress bars need the package rich, which is not installed; pip install 'cascaderank[demo]' "
            "(it is part of [cpu] and [gpu] too)"
        ) from error
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    # Texts and ids are shown as they are: no markup, no emoji codes, nothing picked out in colours.
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(text: str) -> Iterator[Report]:
    """Yields ``report(done, total)``. A bar with the time left on a terminal; elsewhere one line if it takes over a
    second."""
    if not sys.stderr.isatty():
        yield _line_reporter(text)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        Remaining(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _line_reporter(text: str) -> Report:
    started = time.perf_counter()
    said = False

    def report(done: int, total: int) -> None:
        nonlocal said
        if not said and done < total and time.perf_counter() - started > _SAY_AFTER_S:
            said = True
            say(f"{text} ({done} of {total}) …")

    return report


@contextmanager
def steps() -> Iterator[Callable[[int, int, str], None]]:
    """Yields ``report(done, total, what)``: a bar on a terminal, a line per step elsewhere."""
    if not sys.stderr.isatty():
        said: set[str] = set()

        def line(done: int, total: int, what: str) -> None:
            if what not in said:
                said.add(what)
                say(what)

        yield line
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)


@contextmanager
def busy(text: str) -> Iterator[None]:
    """A sign of life on a terminal while something of unknown length runs."""
    if not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(text):
        yield


def milliseconds(value: float) -> str:
    """A time for people: milliseconds below a second, seconds above."""
    if value < 10:
        return f"{value:.1f} ms"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1e3:.1f} s"


def counted(count: int, noun: str, plural: str = "") -> str:
    """``1 document``, ``2 documents``, ``5,950 queries``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
