"""The corpus of the demo: what is in it, what is not, and that it is the same on every run."""

from __future__ import annotations

import re
import subprocess
import sys
import threading

import pytest

from cascaderank.demo.corpus import corpus_digest, read_corpus
from cascaderank.demo.docstrings import MIN_WORDS
from cascaderank.demo.passages import HEADING_WORDS, MAX_WORDS, MIN_TAIL_WORDS, count_words, split_text
from cascaderank.documents import Document


@pytest.fixture(scope="module")
def corpus() -> dict[str, str]:
    documents = read_corpus()
    texts = {document.id: document.text for document in documents}
    assert len(texts) == len(documents), "an id occurs twice"
    return texts


def test_several_thousand_passages(corpus: dict[str, str]) -> None:
    assert 4000 <= len(corpus) <= 9000


def test_passages_start_with_name_and_signature(corpus: dict[str, str]) -> None:
    assert corpus["functools.lru_cache"].startswith(
        "functools.lru_cache(maxsize=128, typed=False)\nLeast-recently-used"
    )
    assert corpus["topic:with"].startswith('The "with" statement\n')
    assert corpus["json"].startswith("json\nJSON (JavaScript Object Notation)")


@pytest.mark.parametrize(
    "identifier",
    [
        "builtins.sorted",
        "builtins.str.removesuffix",
        "os.getcwd",
        "os.path.splitext",
        "collections.deque.rotate",
        "pathlib.PurePath.with_suffix",
        "random.shuffle",
        "concurrent.futures.ThreadPoolExecutor",
        "array.array",
        "asyncio.gather",
        "xml.etree.ElementTree.iterparse",
        "topic:operator-summary",
    ],
)
def test_objects_have_the_name_that_people_use(corpus: dict[str, str], identifier: str) -> None:
    assert identifier in corpus


def test_private_names_and_other_names_of_the_same_are_left_out(corpus: dict[str, str]) -> None:
    names = [identifier.partition("#")[0] for identifier in corpus if not identifier.startswith("topic:")]
    assert not [name for name in names if any(part.startswith("_") for part in name.split("."))]
    modules = {name.partition(".")[0] for name in names}
    assert not modules & {"posixpath", "ntpath", "posix", "nt", "idlelib", "test", "antigravity", "this", "tkinter"}
    assert "random.Random.shuffle" not in corpus


def test_inherited_docstrings_are_left_out(corpus: dict[str, str]) -> None:
    assert "builtins.dict.setdefault" in corpus
    assert "collections.defaultdict.setdefault" not in corpus
    assert "builtins.KeyError.with_traceback" not in corpus


def test_no_text_occurs_twice_under_one_short_name(corpus: dict[str, str]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for identifier, text in corpus.items():
        if identifier.startswith("topic:") or "#" in identifier or f"{identifier}#2" in corpus:
            continue
        key = (identifier.rpartition(".")[2], " ".join(text.partition("\n")[2].split()))
        assert key not in seen, (identifier, seen[key])
        seen[key] = identifier


def test_no_passage_is_trivial_or_huge(corpus: dict[str, str]) -> None:
    for identifier, text in corpus.items():
        header, _, body = text.partition("\n")
        assert header
        assert count_words(body) >= MIN_WORDS or identifier.startswith("topic:") or "#" in identifier, identifier
        assert len(body.split()) <= MAX_WORDS + MIN_TAIL_WORDS, identifier


def test_later_pieces_follow_the_first(corpus: dict[str, str]) -> None:
    order = {identifier: place for place, identifier in enumerate(corpus)}
    pieces = [identifier for identifier in corpus if "#" in identifier]
    assert len(pieces) > 300
    for identifier in pieces:
        name, _, number = identifier.partition("#")
        previous = name if number == "2" else f"{name}#{int(number) - 1}"
        assert order[previous] == order[identifier] - 1
        assert corpus[previous].partition("\n")[0] == corpus[identifier].partition("\n")[0]


def test_texts_hold_no_address_of_this_process(corpus: dict[str, str]) -> None:
    headers = [text.partition("\n")[0] for text in corpus.values()]
    assert not [header for header in headers if re.search(r"\bat 0x[0-9a-f]+", header)]


def test_progress_reaches_the_end() -> None:
    calls: list[tuple[int, int]] = []
    read_corpus(lambda done, total: calls.append((done, total)))
    total = calls[0][1]
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_replaced_hooks_do_not_change_it(corpus: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *arguments: None)
    monkeypatch.setattr(threading, "excepthook", lambda *arguments: None)
    assert {document.id: document.text for document in read_corpus()} == corpus


def test_the_same_in_every_fresh_process_and_silent_there() -> None:
    """The digest keys a cache of vectors: a run with another hash seed must find it. (A process in which a package has
    replaced functions of the standard library, as torch does, reads that package's documentation: not compared here.)
    """
    code = "from cascaderank.demo.corpus import *; print(corpus_digest(read_corpus()))"
    runs = [
        subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, env=env)
        for env in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "HOME": "/nonexistent", "SOME_VARIABLE": "x"})
    ]
    assert re.fullmatch(r"[0-9a-f]{64}\n", runs[0].stdout)
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stderr == runs[1].stderr == ""


def test_python_without_docstrings_is_refused() -> None:
    code = "from cascaderank.demo.corpus import read_corpus; read_corpus()"
    run = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "InputError" in run.stderr
    assert "-OO" in run.stderr


def test_digest_tells_ids_texts_and_order_apart() -> None:
    one, two = Document("a", "b"), Document("c", "d")
    digests = [
        corpus_digest(documents)
        for documents in (
            [one, two],
            [two, one],
            [one],
            [],
            [Document("ab", "")],
            [Document("", "ab")],
            [Document("a", "b")] * 2,
        )
    ]
    assert len(set(digests)) == len(digests)
    assert corpus_digest([one, two]) == corpus_digest(iter([Document("a", "b"), Document("c", "d")]))


def test_split_text_cuts_at_paragraphs_and_loses_nothing() -> None:
    paragraphs = [" ".join([f"word{number}"] * 50) for number in range(10)]
    text = "\n\n".join(paragraphs)
    pieces = split_text(text, max_words=120)
    assert pieces == ["\n\n".join(paragraphs[start : start + 2]) for start in range(0, 10, 2)]
    assert "\n\n".join(pieces) == text


def test_split_text_keeps_a_heading_with_what_follows() -> None:
    body = " ".join(["word"] * 90)
    assert count_words("A heading\n---------") < HEADING_WORDS
    pieces = split_text(f"{body}\n\nA heading\n---------\n\n{body}", max_words=120)
    assert [piece.split()[0] for piece in pieces] == ["word", "A"]


def test_split_text_joins_a_short_tail_and_cuts_long_paragraphs_at_lines() -> None:
    lines = "\n".join(" ".join([f"line{number}"] * 10) for number in range(25))
    pieces = split_text(lines, max_words=100)
    assert [len(piece.split()) for piece in pieces] == [100, 100, 50]
    assert [word for piece in pieces for word in piece.split()] == lines.split()
    assert len(split_text(" ".join(["long"] * 100) + "\n\nshort tail", max_words=100)) == 1
    assert split_text(" \n\n ") == []
