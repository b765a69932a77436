"""The collections that models are measured on, and the candidates of their queries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cascaderank.demo.questions import load_questions
from texts.data import Bm25, Collection, read_collection, read_run
from texts.lists import read_lists as read_own_lists
from texts.passages import read_stdlib


@dataclass(frozen=True, slots=True)
class Task:
    """A set, its split, and where its candidates come from: BM25 over the corpus, the judged list, or a run file.

    `relevant` is the lowest grade that recall and average precision count.
    """

    name: str
    split: str
    source: str  # "bm25" | "judged" | "run"
    relevant: int = 1

    def __str__(self) -> str:
        return f"{self.name} {self.split}"


@dataclass(frozen=True, slots=True)
class Lists:
    """A task's collection and, per query, its candidates with BM25's scores, best first."""

    task: Task
    collection: Collection
    first: dict[str, dict[str, float]]


# What a cascade is judged by. None was trained on or chosen by; TREC counts a passage as relevant from grade 2.
BAR = (
    Task("scifact", "test", "bm25"),
    Task("cranfield", "test", "bm25"),
    Task("time", "test", "bm25"),
    Task("trec-dl19", "test", "run", relevant=2),
    Task("trec-dl21", "train", "run", relevant=2),  # the folder calls its only split so
    Task("python-docs", "test", "bm25"),
)
JUDGED = (
    Task("wikiqa", "test", "judged"),
    Task("selqa", "test", "judged"),
    Task("trecqa", "test", "judged"),
    Task("liveqa-med", "test", "judged"),
    Task("climate-fever", "test", "judged"),
    Task("msmarco-graded40", "test", "judged"),
)
QA = (
    Task("medquad", "test", "bm25"),
    Task("pubmedqa", "test", "bm25"),
    Task("xquad-en", "test", "bm25"),
)
# Settings are chosen on these alone.
CHOOSING = (
    Task("python-docs", "dev", "bm25"),
    Task("own-lists", "dev", "judged"),
    Task("graded-lists", "dev", "judged"),
    Task("nq-qed", "dev", "bm25"),
    Task("medquad", "dev", "bm25"),
    Task("boolq-dev", "dev", "bm25"),
)


def read_task(root: Path, task: Task) -> Collection:
    """The collection under `root`, the demo's labelled questions, or the project's own graded lists.

    A question's passages that this interpreter's documentation lacks stay judged: no ranking can find them.
    """
    if task.name == "own-lists":
        return read_own_lists(root, task.split)
    if task.name != "python-docs":
        return read_collection(root, task.name, task.split)
    if task.split not in ("dev", "test"):
        raise ValueError(f"python-docs has no split {task.split!r}; it has dev and test")
    documents = read_stdlib()
    questions = [q for q in load_questions() if q.split == task.split and set(q.relevant) & set(documents)]
    texts = {question.id: question.question for question in questions}
    return Collection(task.name, documents, texts, {question.id: dict(question.relevant) for question in questions})


def read_lists(root: Path, task: Task, queries: int | None, depth: int) -> Lists:
    """All queries that have a relevant document, or a fixed sample of them, and their candidates.

    BM25 and runs give the first `depth`; a judged list is taken whole, ordered by BM25.
    """
    collection = read_task(root, task)
    names = collection.sample(queries)
    if not names:
        return Lists(task, collection, {})
    if task.source == "run":
        run = read_run(root / task.name / "runs" / "bm25.tsv")
        return Lists(task, collection, {q: dict(list(run[q].items())[:depth]) for q in names if q in run})
    index = Bm25(collection.documents)
    if task.source == "bm25":
        return Lists(task, collection, {q: index.top(collection.queries[q], depth) for q in names})
    first = {}
    for q in names:
        scores = dict(zip(index.ids, index.scores(collection.queries[q]).tolist(), strict=True))
        judged = {d: scores[d] for d in collection.qrels[q]}
        first[q] = dict(sorted(judged.items(), key=lambda item: -item[1]))
    return Lists(task, collection, first)
