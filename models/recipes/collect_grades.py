"""What readers wrote about clusters -> the files of `graded/`, and how far two readers agree.

    python models/recipes/collect_grades.py CLUSTERS READERS...      # clusters.jsonl, then one file per reader
    python models/recipes/collect_grades.py --again FILES...         # second opinions, then the agreement
    python models/recipes/collect_grades.py                          # the agreement of what is kept

A reader's line is {"cluster": 7, "style": "A", "text": "the query", "grades": "0010300000200001"}, a digit per passage;
a second opinion has "query" (its id) in place of the first three. Queries that mean what a test query of any measured
collection means (cosine from 0.88 by the bi-encoder) are dropped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from texts.data import read_collection
from texts.lists import GRADED, read_grades
from training.embed import cached_vectors

GRADES = frozenset("0123")
DEV_EVERY = 16  # every 16th cluster is for dev
SAME = 0.88  # cosine of two queries that mean the same
UNSEEN = ("scifact", "medquad", "pubmedqa", "xquad-en")  # whose test queries may ask what a reader asked


def test_queries(root: Path) -> list[str]:
    """Test queries of collections that share passages or topics with the clusters, and the demo's test questions."""
    from cascaderank.demo.questions import load_questions

    texts = [question.question for question in load_questions("test")]
    for name in UNSEEN:
        texts += read_collection(root, name, "test").queries.values()
    return texts


def seen(texts: list[str], options: argparse.Namespace) -> set[str]:
    """Those of `texts` that mean what a test query means."""
    mine = cached_vectors(texts, options.bi, options.cache, "own.queries")
    tests = cached_vectors(test_queries(options.data), options.bi, options.cache, "test.queries")
    return {texts[i] for i in np.flatnonzero((mine @ tests.T).max(1) >= SAME)}


def read_lines(paths: list[Path]) -> list[dict[str, str]]:
    """All lines of all files; raises ValueError that names the file and line of a bad one."""
    rows = []
    for path in paths:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip():
                continue
            row = json.loads(line)
            if len(row["grades"]) != 16 or not GRADES.issuperset(row["grades"]):
                raise ValueError(f"{path}:{number}: grades {row['grades']!r}; expected 16 digits of 0 to 3")
            rows.append(row)
    return rows


def write_grades(path: Path, lists: dict[str, dict[str, int]]) -> None:
    """Query to {passage name: grade}, as `read_grades` reads it."""
    lines = ["query-id\tpassage\tscore"]
    lines += [f"{query}\t{name}\t{grade}" for query, rows in lists.items() for name, grade in rows.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def collect(clusters: Path, readers: list[Path], options: argparse.Namespace) -> None:
    """First opinions: queries and grades. A text that two readers chose is kept once."""
    folder = options.out
    with clusters.open(encoding="utf-8") as lines:
        passages = {row["cluster"]: row["passages"] for row in map(json.loads, lines)}
    queries, grades = [], {}  # type: list[dict[str, str]], dict[str, dict[str, int]]
    rows = sorted(read_lines(readers), key=lambda row: (int(row["cluster"]), row["style"]))
    dropped = seen([" ".join(row["text"].split()) for row in rows], options)
    print(f"dropped, too near a test query: {sorted(dropped)}")
    taken: set[str] = set()
    for row in rows:
        number, text = int(row["cluster"]), " ".join(row["text"].split())
        identifier = f"G{number}{row['style']}"
        if text in dropped or text.lower() in taken or identifier in grades:
            continue
        taken.add(text.lower())
        split = "dev" if number % DEV_EVERY == 0 else "train"
        queries.append({"_id": identifier, "text": text, "style": row["style"], "split": split})
        grades[identifier] = dict(zip(passages[number], map(int, row["grades"]), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(query, ensure_ascii=False) + "\n" for query in queries)
    write_grades(folder / "grades.tsv", grades)


def collect_again(readers: list[Path], folder: Path) -> None:
    """Second opinions on queries that are kept already."""
    first = read_grades(folder / "grades.tsv")
    rows = [row for row in read_lines(readers) if row["query"] in first]
    again = {row["query"]: dict(zip(first[row["query"]], map(int, row["grades"]), strict=True)) for row in rows}
    write_grades(folder / "again.tsv", again)


def kappa(left: np.ndarray, right: np.ndarray, levels: int = 4) -> float:
    """Cohen's kappa with quadratic weights of two vectors of grades (Cohen 1968)."""
    counts = np.zeros((levels, levels))
    np.add.at(counts, (left, right), 1)
    distance = np.square(np.subtract.outer(np.arange(levels), np.arange(levels)))
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    return float(1 - (distance * counts).sum() / (distance * expected).sum())


def report(folder: Path) -> str:
    """How many lists, from where, their grades, and the agreement of two readers."""
    grades = read_grades(folder / "grades.tsv")
    sources = Counter(next(iter(rows)).partition(":")[0] for rows in grades.values())
    values = Counter(grade for rows in grades.values() for grade in rows.values())
    lines = [f"{len(grades)} lists: " + ", ".join(f"{name} {count}" for name, count in sources.most_common())]
    lines.append("grades: " + ", ".join(f"{grade}: {values[grade]}" for grade in range(4)))
    if (folder / "again.tsv").is_file():
        again = read_grades(folder / "again.tsv")
        pairs = [(grades[q][name], grade) for q, rows in again.items() for name, grade in rows.items()]
        one, two = np.array(pairs).T
        relevant = np.mean((one >= 2) == (two >= 2))
        both = ((one >= 2) & (two >= 2)).sum() / ((one >= 2) | (two >= 2)).sum()
        lines.append(
            f"graded twice: {len(again)} lists, {len(pairs)} passages: same grade {np.mean(one == two):.3f}, "
            f"at most one apart {np.mean(abs(one - two) <= 1):.3f}, same side of 2 {relevant:.3f} (of those one reader "
            f"put at 2 or more, both did {both:.3f}), kappa with quadratic weights {kappa(one, two):.3f}"
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--again", action="store_true", help="the files are second opinions")
    here = Path(__file__).resolve().parent
    parser.add_argument("--out", type=Path, default=GRADED)
    parser.add_argument(
        "--data", type=Path, default=here.parents[2] / "shared" / "data", help="folder of the collections"
    )
    parser.add_argument("--bi", type=Path, default=here.parent / "cascaderank_models" / "minilm-bi")
    parser.add_argument("--cache", type=Path, default=here / "cache")
    options = parser.parse_args()
    if options.again:
        collect_again(options.files, options.out)
    elif options.files:
        collect(options.files[0], options.files[1:], options)
    sys.stdout.write(report(options.out) + "\n")


if __name__ == "__main__":
    main()
