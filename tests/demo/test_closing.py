"""The demo's last words are one screenful, and whole where there is no screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from engine.models.status import ApprovalStatus, Status
from swarm_tui.demo.closing import closing, cut
from swarm_tui.demo.story import Chapter, told
from tests.demo.test_story import night

ROWS, COLS = 24, 80
STATUS = Status(
    main="c0ffee" * 6 + "c0ff",
    health="green",
    last_good="c0ffee" * 6 + "c0ff",
    work_orders={"healthy": 18, "parked": 1},
    landed=18,
    reverted=1,
    rejected=12,
    parked=1,
    approvals=[
        ApprovalStatus(
            id="ap-drop-legacy-1",
            danger="large_deletion",
            title="delete legacy",
            why="",
            work_order="drop-legacy",
            expires_at="",
        )
    ],
    cost=0.0,
    tokens=0,
    duration_s=75.2,
)
KEPT = Path("/home/somebody/with a long name/projects/of this year/nights/the first one")


def rows(text: str) -> int:
    """How many rows of the terminal these lines take."""
    return sum(max(1, -(-cell_len(line) // COLS)) for line in text.strip("\n").split("\n"))


@pytest.mark.parametrize("kept", [None, KEPT])
@pytest.mark.parametrize("events", [night(), []], ids=["a whole night", "an empty one"])
def test_the_night_fits_a_screen_of_80_by_24_with_room_for_a_prompt(
    kept: Path | None, events: list[dict[str, Any]]
) -> None:
    chapters = told(events)
    text = closing(chapters, STATUS, kept, 75.2, COLS).plain
    lines = text.strip("\n").split("\n")
    assert rows(text) < ROWS, text
    of_chapters = [line for line in lines if line.startswith(("✔", "✘"))]
    assert len(of_chapters) == len(chapters)
    assert all(cell_len(line) <= COLS for line in of_chapters), text
    assert all(chapter.name in line for chapter, line in zip(chapters, of_chapters, strict=True))


def test_without_a_terminal_nothing_is_cut() -> None:
    chapters = told(night())
    text = closing(chapters, STATUS, None, 75.2, None).plain
    assert all(f"{chapter.evidence}\n" in text for chapter in chapters)
    assert "…" not in text


def test_what_did_not_happen_is_marked() -> None:
    text = closing([Chapter("one", True, "it did"), Chapter("two", False, "")], STATUS, None, 1.0, COLS).plain
    assert "✔ one  it did\n✘ two" in text


def test_it_says_where_to_look_at_what_is_kept() -> None:
    text = closing(told(night()), STATUS, KEPT, 1.0, COLS).plain
    assert f"cd '{KEPT / 'repo'}'" in text
    assert "swarm approve ap-drop-legacy-1 --state ../state" in text


@pytest.mark.parametrize(
    ("text", "cells", "shown"),
    [
        ("all of it", 9, "all of it"),
        ("all of it there", 10, "all of it…"),
        ("all of it there", 9, "all of…"),
        ("rejected (because), then", 20, "rejected (because)…"),
        ("unbroken", 4, "unb…"),
        ("幅広い文字", 6, "幅広…"),
        ("nothing", 0, ""),
    ],
)
def test_lines_are_cut_at_a_word(text: str, cells: int, shown: str) -> None:
    assert cut(text, cells) == shown
    assert cell_len(shown) <= max(cells, 0)
