"""Text of agents, tests and repositories stays text: in headless lines, on every screen, in summaries. E01–E04, E14."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot
from told_night import Told, looking, told_night, until

from engine.models.event import Event
from engine.models.events import EVENTS
from engine.models.status import OrderStatus, Status
from engine.text.sanitise import sanitise
from swarm_tui.app import Leaving, RoomApp
from swarm_tui.headless import JsonPrinter, line_of, summary_text
from swarm_tui.phrases import phrase
from swarm_tui.room.event_index import told as told_in_the_room
from swarm_tui.widgets.event_detail import json_of
from tests.conftest import MakeRepo
from tests.redteam.hostile_text import HOSTILE, hostile_fields, unsafe


def test_the_sample_is_hostile_to_whoever_prints_it_as_it_is() -> None:
    """The control of all that follows."""
    printed = io.StringIO()
    Console(file=printed, force_terminal=True, color_system=None, width=400).print(HOSTILE.partition("[/]")[0])
    assert "\u202e" in HOSTILE
    assert unsafe(HOSTILE)
    assert "\x9b31m" in printed.getvalue()
    assert "[red]" not in printed.getvalue(), "its markup has become a colour"
    assert not unsafe(sanitise(HOSTILE))


TYPED: dict[str, dict[str, Any]] = {
    "canary_finished": {"purpose": "rerun"},
    "work_order_added": {"order": {"id": "one", "title": HOSTILE}},
}
"""Fields that only the engine fills, from a list of its own, or whose shape a sentence needs."""


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_whose_every_word_is_hostile_is_one_clean_line(kind: str) -> None:
    event = Event(1, 0.0, kind, HOSTILE, HOSTILE, hostile_fields(kind, **TYPED.get(kind, {})))
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, markup=False, soft_wrap=True)
    if (made := phrase(event)) is not None:
        console.print(line_of(event, made))
        assert isinstance(console.file, io.StringIO)
        shown = console.file.getvalue()
        assert not unsafe(shown)
        assert shown.count("\n") == 1, "nobody else can write a line of its own"
    told = told_in_the_room(event)
    assert not unsafe(told.about + told.text, "")
    assert not unsafe(json_of(event))


@pytest.mark.parametrize("kind", EVENTS)
def test_scripts_get_it_whole_and_in_pure_ascii(kind: str) -> None:
    event = Event(1, 0.0, kind, HOSTILE, HOSTILE, hostile_fields(kind, **TYPED.get(kind, {})))
    out = io.StringIO()
    JsonPrinter(out).event(event)
    assert out.getvalue().isascii()
    assert not unsafe(out.getvalue())
    assert json.loads(out.getvalue())["work_order"] == HOSTILE


KEYS = ("t", "a", "m", "w", "question_mark", "1", "2", "3", "4", "5")

Open = Callable[[RoomApp, Pilot[Leaving]], Awaitable[None]]


def hostile_night(tmp_path: Path, git_repo: MakeRepo) -> Told:
    orders = ({"id": "one", "title": HOSTILE, "goal": HOSTILE, "allow": [HOSTILE], "tests": [HOSTILE]},)
    told = told_night(tmp_path, git_repo({"src/a.py": "print('old')\n"}), orders=orders)
    told.write("work_order_ready")
    folder = told.run_folder()
    (folder / "log").write_text(f"{HOSTILE}\n" * 50, encoding="utf-8")
    (folder / "side" / "prompt.md").write_text(HOSTILE, encoding="utf-8")
    (folder / "spec.json").write_text(json.dumps({"argv": [HOSTILE], "hosts": [HOSTILE]}), encoding="utf-8")
    told.run_starts()
    told.run_ends(result="failed", reason=HOSTILE)
    told.write("change_rejected", change="", reasons=[HOSTILE])
    told.write("guardrail_denied", rule=HOSTILE, reason=HOSTILE, paths=[HOSTILE], change="")
    told.run_starts("one.2", attempt=2)
    told.hands_in("one.2", summary=HOSTILE, risk=HOSTILE, rollback=HOSTILE)
    told.is_judged("red", "agent/one/1-aaaa", HOSTILE)
    told.write("work_order_parked", why=HOSTILE, do=HOSTILE)
    told.write("landing_frozen", order="", **hostile_fields("landing_frozen"))
    return told


def seen(app: RoomApp) -> tuple[str, list[str]]:
    """The characters on the screen and of its borders, and what a click would do there."""
    update: Any = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)  # pyright: ignore
    segments = [segment for strips in update.strips for strip in strips for segment in strip]
    clicks = [
        str(segment.style.meta["@click"]) for segment in segments if segment.style and segment.style.meta.get("@click")
    ]
    links = [segment.style.link for segment in segments if segment.style and segment.style.link]
    return "".join(segment.text for segment in segments), [*clicks, *links]


@pytest.mark.slow
async def test_no_screen_of_the_room_shows_more_than_text(tmp_path: Path, git_repo: MakeRepo) -> None:
    told = hostile_night(tmp_path, git_repo)
    shown: list[str] = []
    async with looking(told, (140, 50)) as (app, pilot):
        for opens in (None, "order", "run", *KEYS):
            if opens == "order":
                app.action_open_order("one")
            elif opens == "run":
                app.action_open_run("one.1")
            elif opens is not None:
                await pilot.press(opens)
            for _ in range(8):
                await pilot.pause(0.1)
            text, acts = seen(app)
            assert not unsafe(text), (opens, unsafe(text))
            assert not [act for act in acts if "detach" in act or "evil" in act], opens
            shown.append(text)
            while len(app.screen_stack) > 2:
                await pilot.press("escape")
                await pilot.pause()
        await until(pilot, lambda: app.opened)
    together = "".join(shown)
    assert "␛[2J" in together, "the control: it was on the screens at all"
    assert "[@click=app.detach]" in together


def test_the_summary_of_a_night_is_clean() -> None:
    status = Status(
        main="c" * 40, health="frozen", why=HOSTILE, last_good="", publish_pending=HOSTILE, work_orders={"parked": 1},
        orders=[OrderStatus(id="one", title=HOSTILE, state="parked", attempts=1, why=HOSTILE, do=HOSTILE)],
        landed=1, reverted=0, rejected=0, parked=1, unproven=[], cost=0, tokens=0, duration_s=1,
    )  # fmt: skip
    assert not unsafe(summary_text(status).plain)
