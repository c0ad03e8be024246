"""What is shown, held against its golden: through a real terminal program, and line by line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.golden_files import system
from canary.shots import masked
from engine.models.flow import Flow
from tests.canary.worlds import World, python

CLOCK = """
    import sys, tty
    tty.setraw(0)
    count = 0
    while True:
        sys.stdout.write(f"\\x1b[2J\\x1b[HCounter\\r\\n\\r\\ncount: {count}\\r\\nname: counter\\r\\n")
        sys.stdout.flush()
        key = sys.stdin.read(1)
        if key == "q":
            break
        count += key == "+"
"""
"""Counts how often + was pressed."""
GOLDEN = f"canary/golden/clock/counted.{system()}.txt"
COUNT = {"send": {"keys": ["+"]}}


def clock(code: str = CLOCK, shot: dict[str, Any] | None = None) -> Flow:
    wait = {"wait": {"until": {"screen": "count: 1"}, "within": "20s"}}
    return Flow.model_validate(
        {
            "name": "clock",
            "driver": "terminal",
            "size": {"w": 40, "h": 6},
            "start": {"run": python(code), "ready": {"screen": "count: 0"}, "within": "20s"},
            "steps": [COUNT, wait, {"shot": {"name": "counted", **(shot or {})}}],
            "stop": {"send": {"keys": ["q"]}, "within": "20s"},
        }
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
class TestOnATerminal:
    async def test_a_missing_golden_is_proposed_and_then_holds_and_then_finds_a_difference(self, world: World) -> None:
        first = await world.run(clock())
        assert first.verdict == "INCONCLUSIVE"
        assert GOLDEN in first.reason
        (proposed,) = first.proposed
        assert (proposed.name, proposed.path, proposed.was) == ("shot:counted", GOLDEN, "")
        golden = world.artifact(first, "shot:counted")
        assert golden.splitlines() == ["Counter", "", "count: 1", "name: counter"]

        world.goldens = {GOLDEN: golden.encode("utf-8")}
        same = await world.run(clock())
        assert same.verdict == "PASS", same.reason
        assert same.proposed == ()

        changed = CLOCK.replace("name: counter", "name: abacus")
        other = await world.run(clock(changed))
        assert other.verdict == "FAIL"
        assert 'line 4 is "name: abacus" instead of "name: counter"' in other.reason
        (proposed,) = other.proposed
        assert proposed.digest == other.artifacts["shot:counted"]
        assert "-name: counter" in world.store.get(proposed.difference).decode("utf-8")

        aside = await world.run(clock(changed, {"mask": [[6, 3, 7, 1]]}))
        assert aside.verdict == "PASS", aside.reason

    async def test_what_is_not_on_the_screen_fails_and_says_what_is(self, world: World) -> None:
        told = clock().model_dump(by_alias=True, exclude_unset=True)
        told["steps"] = [{"wait": {"until": {"no_screen": "Counter"}, "within": "200ms"}}]
        outcome = await world.run(Flow.model_validate(told))
        assert outcome.verdict == "FAIL"
        assert 'expected a screen without "Counter"' in outcome.reason
        assert "count: 0" in outcome.reason
        assert "Counter" in world.artifact(outcome, "screen")

    @pytest.mark.parametrize(
        ("told", "verdict"),
        [({"screen": "name"}, "PASS"), ({"no_screen": "error"}, "PASS"), ({"screen": "error"}, "FAIL")],
    )
    async def test_assertions_about_the_screen(self, world: World, told: dict[str, str], verdict: str) -> None:
        fields = clock().model_dump(by_alias=True, exclude_unset=True)
        fields["steps"] = [{"assert": told}]
        outcome = await world.run(Flow.model_validate(fields))
        assert outcome.verdict == verdict, outcome.reason


class TestMasks:
    def test_cells_count_and_not_characters(self) -> None:
        assert masked("日本 ab\n", [(5, 0, 2, 1)]) == ["日本"]
        assert masked("e\u0301xy\n", [(1, 0, 1, 1)]) == ["e\u0301 y"]

    def test_a_mask_may_reach_beyond_the_screen(self) -> None:
        assert masked("ab\ncd\n", [(1, 1, 100, 100)]) == ["ab", "c"]

    @given(
        st.lists(st.text("abcxyz ", max_size=8), min_size=1, max_size=6),
        st.integers(0, 8),
        st.integers(0, 6),
        st.integers(0, 8),
        st.integers(0, 6),
        st.sampled_from("QRS"),
    )
    def test_only_what_lies_under_the_mask_is_forgiven(
        self, rows: list[str], x: int, y: int, w: int, h: int, char: str
    ) -> None:
        text = "\n".join(row.ljust(8) for row in rows)
        for at in range(8 * len(rows)):
            row, column = divmod(at, 8)
            lines = text.split("\n")
            lines[row] = lines[row][:column] + char + lines[row][column + 1 :]
            under = x <= column < x + w and y <= row < y + h
            assert (masked("\n".join(lines), [(x, y, w, h)]) == masked(text, [(x, y, w, h)])) == under
