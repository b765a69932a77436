"""The graded lists that are kept beside the recipes, and what reads and writes them."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest


def test_every_kept_list_is_whole(recipes: SimpleNamespace) -> None:
    folder = recipes.lists.GRADED
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    grades = recipes.lists.read_grades(folder / "grades.tsv")
    assert [query["_id"] for query in queries] == list(grades)
    assert len({query["text"].lower() for query in queries}) == len(queries)
    for query in queries:
        values = grades[query["_id"]]
        assert len(values) == 16
        assert set(values.values()) <= {0, 1, 2, 3}
        assert max(values.values()) >= 2
        assert all(":" in name for name in values)
    sources = Counter(next(iter(values)).partition(":")[0] for values in grades.values())
    assert len(queries) >= 1500
    assert sources["stdlib"] * 3 >= len(queries)
    again = recipes.lists.read_grades(folder / "again.tsv")
    assert len(again) * 20 >= len(queries)
    assert all(list(values) == list(grades[query]) for query, values in again.items())


def test_queries_of_one_cluster_share_a_split(recipes: SimpleNamespace) -> None:
    lines = (recipes.lists.GRADED / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    splits: dict[str, set[str]] = {}
    for query in map(json.loads, lines):
        splits.setdefault(query["_id"][:-1], set()).add(query["split"])
    assert all(len(names) == 1 for names in splits.values())
    assert {name for names in splits.values() for name in names} == {"train", "dev"}


def test_lists_are_read_with_the_passages_of_their_collections(recipes: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "G0A", "text": "sort", "style": "A", "split": "train"}\n'
        '{"_id": "G1A", "text": "join", "style": "A", "split": "dev"}\n',
        encoding="utf-8",
    )
    known, gone, other = "stdlib:bisect.insort_right", "stdlib:no.such.thing", "stdlib:heapq.heappop"
    lists = {"G0A": {known: 3, gone: 0}, "G1A": {known: 0, other: 2}}
    recipes.collect_grades.write_grades(tmp_path / "grades.tsv", lists)
    train = recipes.lists.read_lists(tmp_path, "train", tmp_path)
    assert train.queries == {"G0A": "sort"}
    # A passage that this interpreter's documentation lacks is left out, not an error.
    assert train.qrels == {"G0A": {known: 3}}
    assert train.documents[known].startswith("bisect.insort_right")
    assert set(recipes.lists.read_lists(tmp_path, "dev", tmp_path).qrels["G1A"]) == {known, other}


def test_a_range_of_sentences_is_one_passage(recipes: SimpleNamespace, tmp_path: Path) -> None:
    rows = [{"_id": f"s{number}", "title": "", "text": text} for number, text in ((9, "a"), (10, "b"), (11, "c"))]
    (tmp_path / "squad-sentences").mkdir()
    with gzip.open(tmp_path / "squad-sentences" / "corpus.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    assert recipes.passages.passage(tmp_path, "squad-sentences:s9..s11") == "a b c"
    assert recipes.passages.passage(tmp_path, "squad-sentences:s10") == "b"
    for missing in ("s12", "s10..s12"):
        with pytest.raises(KeyError, match="s12"):
            recipes.passages.passage(tmp_path, f"squad-sentences:{missing}")


def test_sentences_are_joined_in_order_until_a_passage_is_long_enough(recipes: SimpleNamespace) -> None:
    documents = {f"s{i}": "three words here" for i in range(5)}
    joined = recipes.clusters.join_sentences(documents, words=6)
    assert joined == {"s0..s1": "three words here three words here", "s2..s3": "three words here three words here"}


def test_a_readers_bad_line_is_named(recipes: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "reader.jsonl"
    good = {"cluster": 1, "style": "A", "text": "q", "grades": "0" * 15 + "3"}
    for grades in ("0" * 15, "0" * 15 + "4"):
        path.write_text(json.dumps(good) + "\n" + json.dumps(good | {"grades": grades}) + "\n", encoding="utf-8")
        with pytest.raises(ValueError, match=r"reader\.jsonl:2"):
            recipes.collect_grades.read_lines([path])


def test_kappa_is_one_for_the_same_zero_for_chance_and_negative_for_the_opposite(recipes: SimpleNamespace) -> None:
    kappa = recipes.collect_grades.kappa
    grades = np.array([0, 0, 1, 2, 3, 3])
    assert kappa(grades, grades) == pytest.approx(1.0)
    assert kappa(np.array([0, 0, 3, 3]), np.array([0, 3, 0, 3])) == pytest.approx(0.0)
    assert kappa(np.array([0, 3]), np.array([3, 0])) == pytest.approx(-1.0)
    # By hand: one of four pairs is off by one; counts of both readers (2, 2, 0, 0) and (1, 3, 0, 0).
    assert kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])) == pytest.approx(1 - 1 / 2)


def test_hard_negatives_leave_out_answers_and_what_looks_as_good(recipes: SimpleNamespace) -> None:
    ids = ["answer", "twin", "near", "far", "lexical"]
    vectors = np.array([[1, 0], [0.99, 0.14], [0.8, 0.6], [-1, 0], [0, 1]], dtype=np.float32)
    documents = {"answer": "red fox", "twin": "red foxes", "near": "fox", "far": "stone", "lexical": "question words"}
    collection = SimpleNamespace(queries={"q": "question words"}, qrels={"q": {"answer": 1}}, documents=documents)
    index = SimpleNamespace(top=lambda _query, _k: {"lexical": 2.0, "answer": 1.0})
    mine = recipes.mining.Mine(collection, ids, vectors, index, ["q"], np.array([[1, 0]], dtype=np.float32))
    found = recipes.mining.hard_negatives(mine, 0)
    assert "answer" not in found
    assert "twin" not in found  # its cosine is above 0.95 of the answer's: it may answer too
    assert {"near", "lexical"} <= set(found)
