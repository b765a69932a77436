"""What the demo prints."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from cascaderank.cli.terminal import milliseconds
from cascaderank.demo.search import climbs

if TYPE_CHECKING:
    from rich.console import Console

    from cascaderank.cascade import Cascade
    from cascaderank.demo.search import Alternative, Answer
    from cascaderank.demo.vectors import Vectors
    from cascaderank.results import Ranking

_BODY = 220  # characters of a passage


class Show:
    """Prints one cascade's answers on one screen."""

    def __init__(self, screen: Console, cascade: Cascade) -> None:
        self._screen = screen
        self._cascade = cascade

    def opening(self, passages: int) -> None:
        stages = zip(self._cascade.names, self._cascade.models, self._cascade.providers, strict=True)
        models = ", ".join(f"{name} ({spec.precision}, {provider})" for name, spec, provider in stages)
        self._screen.print(
            f"Searching {passages:,} passages of Python {platform.python_version()}'s own documentation: "
            f"BM25, then {models}.",
            style="bold",
        )

    def vectors(self, vectors: Vectors) -> None:
        if vectors.note:
            self._screen.print(f"Note: {vectors.note}.", style="yellow")
        if vectors.path is not None:
            how = "computed once and kept in" if vectors.computed else "read from"
            self._screen.print(f"Document vectors and tokens {how} {vectors.path}", style="dim", soft_wrap=True)

    def question(self, question: str, candidates: int, ranking: Ranking) -> None:
        self._screen.print()
        self._screen.rule(Text(question, style="bold"), align="left", characters="─")
        line = Text.assemble((milliseconds(ranking.trace.total_ms), "bold green"), f" in all: {candidates} by BM25")
        for stage in ranking.trace.stages:
            line.append(f" ─ {stage.name} {milliseconds(stage.total_ms)} ─▶ ", style="dim")
            line.append(str(stage.candidates_out), style="bold")
        self._screen.print(line)
        for reason in ranking.reasons:
            self._screen.print(f"degraded: {reason}", style="yellow")

    def answers(self, answers: Sequence[Answer]) -> None:
        for number, answer in enumerate(answers, start=1):
            score = "" if answer.score is None else f"{answer.score:.2f}"
            if answer.probability is not None:
                score += f", probability {answer.probability:.2f}"
            path = " → ".join(map(str, answer.ranks))
            moved = (f"   score {score}   BM25 rank {path}", "dim")
            self._screen.print(Text.assemble((f"\n{number:2}. ", "bold"), (answer.document.id, "bold cyan"), moved))
            body = " ".join(answer.body.split())
            self._screen.print(
                Text(body if len(body) <= _BODY else f"{body[:_BODY].rsplit(' ', 1)[0]} …"), new_line_start=False
            )

    def stages(self, answers: Sequence[Answer], ranking: Ranking) -> None:
        """What each stage kept and moved, then the trace."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("stage", "kept"):
            table.add_column(name, no_wrap=True)
        table.add_column(f"what it did for the final {len(answers)}")
        traces = {trace.name: trace for trace in ranking.trace.stages}
        for climb in climbs(answers, self._cascade.names):
            trace = traces.get(climb.stage)
            if trace is None:
                table.add_row(climb.stage, "-", "not started")
                continue
            text = f"moved {climb.risen} up"
            if climb.risen:
                text += f", {climb.best_id} from rank {climb.best_from} to {climb.best_to}"
            table.add_row(climb.stage, f"{trace.candidates_in} → {trace.candidates_out}", text)
        self._screen.print()
        self._screen.print(table)
        self._screen.print()
        self._screen.print(Text(ranking.trace.table(), style="dim"), soft_wrap=True)

    def alternative(self, found: Alternative, ranking: Ranking) -> None:
        total = ranking.trace.total_ms
        line = Text(f"\nWithout the cascade: {found.model} on {found.sample} of the {found.candidates} candidates")
        line.append(f" took {milliseconds(found.sample_ms)}.\nExtrapolated to all {found.candidates} that is ")
        line.append(milliseconds(found.extrapolated_ms), style="bold red")
        line.append(f", {found.extrapolated_ms / total:.0f} times the cascade's ")
        line.append(milliseconds(total), style="bold green")
        line.append(".")
        self._screen.print(line)
