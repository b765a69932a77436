"""docs/models.md says what the exporter's tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cascaderank.cli.main import build_parser
from cascaderank.export.families import FAMILIES, Family
from cascaderank.export.refusals import REFUSALS

DOC = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def cells(name: str) -> list[str]:
    (row,) = re.findall(rf"^\| {re.escape(name)} \|(.*)\|$", DOC, flags=re.MULTILINE)
    return [cell.strip() for cell in row.split("|")]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_has_its_row(family: Family) -> None:
    model_types, published, _, segments, positions, _ = cells(family.name)
    assert tuple(re.findall(r"`(.*?)`", model_types)) == family.model_types
    assert tuple(published.split(", ")) == family.published
    assert ("document 1" in segments) == family.segments
    assert ("pad_token_id" in positions) == (family.positions == "after padding")


def test_every_refusal_is_named() -> None:
    for refusal in REFUSALS:
        assert any(f"`{name}`" in DOC for name in refusal.names), refusal.names


def test_the_options_it_names_exist() -> None:
    (commands,) = (action for action in build_parser()._actions if action.dest == "command")
    assert commands.choices is not None
    known = {
        flag
        for command in ("export", "check", "precision")
        for flag in commands.choices[command]._option_string_actions
    }
    named = set(re.findall(r"(--[a-z][a-z-]+)", DOC))
    assert named
    assert named <= known, named - known
