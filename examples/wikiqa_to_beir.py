"""WikiQA's own files as a collection in the layout of BEIR, which every measuring command reads.

python examples/wikiqa_to_beir.py WIKIQA_FOLDER OUT

WIKIQA_FOLDER holds WikiQA-dev.tsv and WikiQA-test.tsv as they are published: one line for each question and sentence,
with a label. Every sentence becomes a document (its article's title stands before it), so that a question is searched
for among all of them. The same thirty lines, with other names, do for most labelled data.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable
from pathlib import Path

COLUMNS = ("QuestionID", "Question", "DocumentTitle", "SentenceID", "Sentence", "Label")
SPLITS = ("dev", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    (options.out / "qrels").mkdir(parents=True, exist_ok=True)
    documents, queries = {}, {}
    for split in SPLITS:
        rows = read(options.source / f"WikiQA-{split}.tsv")
        documents |= {row["SentenceID"]: {"title": row["DocumentTitle"], "text": row["Sentence"]} for row in rows}
        queries |= {row["QuestionID"]: {"text": row["Question"]} for row in rows}
        judged = (f"{row['QuestionID']}\t{row['SentenceID']}\t{row['Label']}\n" for row in rows)
        write(options.out / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore\n", *judged])
    for name, entries in (("corpus", documents), ("queries", queries)):
        lines = (json.dumps({"_id": key, **entry}, ensure_ascii=False) + "\n" for key, entry in entries.items())
        write(options.out / f"{name}.jsonl", lines)
    print(f"{options.out}: {len(documents)} documents, {len(queries)} queries")


def read(file: Path) -> list[dict[str, str]]:
    """All rows. Quotes are characters of the sentences, not of the format."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise SystemExit(f"{file}: no column {', '.join(missing)}; is it one of WikiQA's files?")
        return list(rows)


def write(file: Path, lines: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(lines)


if __name__ == "__main__":
    main()
