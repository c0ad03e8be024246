"""The bug work order that follows a regression says what kind of regression it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.actions import FileBug
from engine.effects.after import file_bug
from engine.effects.world import World
from engine.models.event import NewEvent
from engine.state import Landing, Regression, State
from roles.triager import RuleTriager

COMMIT, SINCE = "c" * 40, "5" * 40


async def filed(regression: Regression) -> dict[str, Any]:
    """The fields of the one event that comes of it."""
    told: list[NewEvent] = []

    async def emit(event: NewEvent) -> None:
        told.append(event)

    state = State(regressions=[regression])
    world = SimpleNamespace(state=lambda: state, ports=SimpleNamespace(triager=RuleTriager()), emit=emit)
    await file_bug(cast(World, world), FileBug("k", "bug", COMMIT))
    (event,) = told
    assert event.kind == "work_order_added"
    return dict(event.fields)


def slower(*suspects: Landing) -> Regression:
    reason = "ms got worse little by little: 10 → 11 ms"
    return Regression(COMMIT, "smoke", reason, list(suspects), done=True, good=SINCE, slower=True)


async def test_what_crept_blames_nobody() -> None:
    fields = await filed(slower())
    order = fields["order"]
    assert order["id"] == "bug-creep-cccccccccccc-1"
    assert order["kind"] == "refactor"
    assert "Nobody is blamed" in order["goal"]
    assert "10 → 11 ms" in order["goal"]
    assert fields["regression"] == COMMIT


@pytest.mark.parametrize("count", [1, 2])
async def test_what_one_comparison_found_names_who_came_with_it(count: int) -> None:
    landings = [Landing(f"{n}" * 40, "t", "change", f"ch{n}", f"w{n}") for n in range(count)]
    regression = slower(*landings)
    if count == 1:
        regression.culprit, regression.order = landings[0].commit, "w0"
    else:
        regression.range = [landing.commit for landing in landings]
    order = (await filed(regression))["order"]
    assert "Nobody is blamed" not in order["goal"]
    assert order["id"] == ("bug-w0-1" if count == 1 else "bug-range-cccccccccccc-1")
