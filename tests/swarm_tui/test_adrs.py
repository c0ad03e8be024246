"""`swarm adr`: where the records stand, how they are numbered, and that names and titles cannot do harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.adr import DEFAULT, adr_folder, number_of
from engine.errors import UserError
from swarm_tui import adrs


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_folder_is_the_one_that_has_records() -> None:
    assert adr_folder(["docs/decisions/0001-a.md", "docs/adr/readme.md"]) == "docs/decisions"
    assert adr_folder(["src/0001-a.md"]) == DEFAULT
    assert [number_of(name) for name in ("a/0012-x.md", "7_y.md", "x.md", "12.md", "0001-x.txt")] == [12, 7, 0, 0, 0]


def test_records_are_listed_by_number_with_title_and_status(tmp_path: Path) -> None:
    put(tmp_path, "docs/adr/0002-b.md", "# 2. Second\n\n## Status\n\nAccepted\n")
    put(tmp_path, "docs/adr/0010-c.md", "# ADR-10: Tenth\n\n* Status: superseded by 11\n")
    put(tmp_path, "docs/adr/0001-a.md", "# First\x1b[2J\n")
    put(tmp_path, "docs/adr/notes.md", "# Notes\n")
    found = adrs.records(tmp_path)
    assert [(one.number, one.title, one.status) for one in found if one.number > 1] == [
        (2, "Second", "Accepted"), (10, "Tenth", "superseded by 11"),
    ]  # fmt: skip
    assert len(found) == 3
    assert "\x1b" not in found[0].title + adrs.show(tmp_path, "0001")
    assert adrs.show(tmp_path, "10").startswith("# ADR-10: Tenth")


def test_a_record_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no decision record 3 .*there is none"):
        adrs.show(tmp_path, "3")
    put(tmp_path, "adr/0001-a.md", "# A\n")
    with pytest.raises(UserError, match="the last is 1"):
        adrs.show(tmp_path, "²")


def test_a_new_one_has_the_next_number_in_the_same_width_and_place(tmp_path: Path) -> None:
    assert adrs.new(tmp_path, "Höhe: ../../Wörter!").path == "docs/adr/0001-hohe-worter.md"
    second = adrs.new(tmp_path, "Second")
    assert (second.number, second.title, second.path) == (2, "Second", "docs/adr/0002-second.md")
    other = tmp_path / "other"
    put(other, "docs/decisions/009-a.md", "# A\n")
    assert adrs.new(other, "Tenth").path == "docs/decisions/010-tenth.md"
    with pytest.raises(UserError, match="needs a title"):
        adrs.new(tmp_path, "../..")


@given(st.text(max_size=100))
def test_no_title_leads_out_of_the_folder(title: str) -> None:
    slug = adrs._slug(title)  # pyright: ignore[reportPrivateUsage]
    assert slug == "" or all(part.isalnum() for part in slug.split("-"))
    assert slug.isascii()
    assert len(slug) <= adrs.SLUG_MAX
