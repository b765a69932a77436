"""The tutorial's converter: WikiQA's lines become a collection that the measuring commands read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cascaderank.evaluate import load_beir

SCRIPT = Path(__file__).parents[2] / "examples" / "wikiqa_to_beir.py"
HEADER = "QuestionID\tQuestion\tDocumentID\tDocumentTitle\tSentenceID\tSentence\tLabel\n"
DEV = HEADER + (
    'Q8\thow do "caves" form?\tD8\tGlacier cave\tD8-0\tA "cave in ice\t0\n'
    'Q8\thow do "caves" form?\tD8\tGlacier cave\tD8-1\tMelting water forms it — slowly\t1\n'
    "Q9\twithout an answer\tD9\tNothing\tD9-0\tNo\t0\n"
)
TEST = HEADER + "Q0\twho\tD0\tSomebody\tD0-0\tIt was her\t1\n"


def convert(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(source), str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_converted_folder_is_read_as_it_was_meant(tmp_path: Path) -> None:
    for split, text in (("dev", DEV), ("test", TEST)):
        (tmp_path / f"WikiQA-{split}.tsv").write_text(text, encoding="utf-8")
    done = convert(tmp_path, tmp_path / "wikiqa")
    assert done.returncode == 0, done.stderr
    assert "4 documents, 3 queries" in done.stdout
    data = load_beir(tmp_path / "wikiqa", "dev")
    assert data.queries == {"Q8": 'how do "caves" form?'}  # who has no answer cannot be measured
    assert data.qrels["Q8"] == {"D8-0": 0, "D8-1": 1}
    assert data.corpus["D8-0"] == 'Glacier cave A "cave in ice'
    assert "—" in data.corpus["D8-1"]
    assert list(load_beir(tmp_path / "wikiqa", "test").queries) == ["Q0"]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "WikiQA-dev.tsv").write_text("query\tsentence\nq\ts\n", encoding="utf-8")
    done = convert(tmp_path, tmp_path / "out")
    assert done.returncode == 1
    assert "no column QuestionID, Question, DocumentTitle" in done.stderr
