"""Every key of the room: it has an id, can be pressed, does something, and is not taken by another one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nights import COMMIT, a_night, opener_of

from swarm_tui.app import RoomApp
from swarm_tui.room.all_bindings import Bound, action_method, acts_on, all_bindings
from swarm_tui.room.key_names import only_some_terminals, shown, spelled, wrong

EVERY = [pytest.param(bound, id=f"{bound.owner.__name__}:{bound.ident or bound.action}") for bound in all_bindings()]
NEARER_WINS = {
    "escape", "enter",  # what is nearest is left, or opened
}  # fmt: skip
MEANT = {
    # The nearer of the two does what the other does, for what is focused.
    ("log.copy", "gate.copy"), ("log.copy", "run.copy"), ("log.copy", "timeline.copy"),
    ("log.find_next", "gate.next_failure"), ("log.find_previous", "gate.previous_failure"),
    ("log.left", "sections.previous"), ("log.right", "sections.next"),
    ("prose.first", "order.gates"), ("rows.first", "order.gates"),
}  # fmt: skip
"""Pairs (nearer, farther) of bindings that share a key on purpose. A new pair is a question to its author."""


@pytest.mark.parametrize("bound", EVERY)
def test_a_binding_is_whole(bound: Bound) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z0-9_]+", bound.ident), "an id is <area>.<action>"
    assert bound.words, "it has a description"
    assert len(bound.words.split()) <= 4
    assert bound.words[0].isupper()
    assert "[" not in bound.words
    assert bound.help
    for key in bound.keys:
        assert wrong(key) == ""
    assert not all(only_some_terminals(key) for key in bound.keys), "one of its keys works in every terminal"


@pytest.mark.parametrize("bound", EVERY)
def test_its_action_is_there(bound: Bound) -> None:
    if bound.action.startswith("screen."):
        return  # acted on by whatever screen it stands in; pressed in that screen's own tests
    assert callable(getattr(acts_on(bound.owner, bound.action), action_method(bound.action), None))


def test_ids_are_given_once() -> None:
    count = Counter(bound.ident for bound in all_bindings())
    assert [ident for ident, times in count.items() if times > 1] == []


def test_a_class_does_not_use_a_key_twice() -> None:
    keys = Counter((bound.owner, key) for bound in all_bindings() for key in bound.keys)
    twice = [(owner.__name__, key) for (owner, key), times in keys.items() if times > 1]
    assert [each for each in twice if each[1] not in NEARER_WINS] == []


@pytest.mark.parametrize(
    ("key", "is_right"),
    [
        ("escape", True), ("esc", False), ("question_mark", True), ("?", True), ("slash", True), ("/", True),
        ("ctrl+p", True), ("ctrl+P", False), ("ctl+p", False), ("shift+a", False), ("shift+tab", True), ("A", True),
        ("f12", True), ("f99", False), ("ü", True), ("", False), ("ctrl+", False), ("ctrl+i", False), ("return", False),
        ("pgdn", False), ("plus", True), ("comma", True), ("nul", False), ("Enter", False),
    ],
)  # fmt: skip
def test_names_of_keys_are_known(key: str, is_right: bool) -> None:
    assert (wrong(spelled(key)) == "") == is_right


def test_keys_that_some_terminals_do_not_send_are_known() -> None:
    assert [key for key in ("alt+x", "ctrl+enter", "ctrl+shift+x", "ctrl+x", "shift+tab", "f5") if
            only_some_terminals(key)] == ["alt+x", "ctrl+enter", "ctrl+shift+x"]  # fmt: skip


def test_keys_are_shown_as_they_are_pressed() -> None:
    assert [shown(key) for key in ("question_mark", "ctrl+p", "escape", "G")] == ["?", "^p", "esc", "G"]


def open_confirm(app: RoomApp) -> None:
    from swarm_tui.screens.confirm import Asked, ConfirmScreen

    app.push_screen(ConfirmScreen(Asked("Really?", ["It stops."], "Files.")))


SCREENS: dict[str, Callable[[RoomApp], Any]] = {
    "main": lambda app: None,
    "order": lambda app: app.action_open_order("one"),
    "run": lambda app: app.action_open_run("one.1"),
    "gates": lambda app: app.action_open_gates("", COMMIT),
    "canary": lambda app: app.action_open_canary(COMMIT),
    "goldens": lambda app: app.action_open_goldens(),
    "inbox": lambda app: app.action_approvals(),
    "metrics": lambda app: app.action_metrics(),
    "timeline": lambda app: app.action_timeline(),
    "wall": lambda app: app.action_wall(),
    "help": lambda app: app.action_help(),
    "confirm": open_confirm,
}


@pytest.mark.parametrize("name", SCREENS)
async def test_no_key_means_two_things_at_once(name: str, tmp_path: Path) -> None:
    app = RoomApp(opener_of(a_night(tmp_path).folders, tmp_path))
    async with app.run_test() as pilot:
        for _ in range(500):
            await pilot.pause(0.01)
            if app.opened:
                break
        SCREENS[name](app)
        await pilot.pause()
        screen = app.screen
        shared: set[tuple[str, str, str]] = set()
        focusable = [widget for widget in screen.query("*") if widget.can_focus]
        for widget in [None, *focusable]:
            screen.set_focus(widget)
            nearer: dict[str, list[str]] = {}
            for _, bindings in screen._modal_binding_chain:
                for key, binding in bindings:
                    for ident in nearer.setdefault(key, []) if binding.id else ():
                        shared.add((key, ident, binding.id or ""))
                    if binding.id:
                        nearer[key].append(binding.id)
        assert screen.active_bindings
        assert {each for each in shared if each[0] not in NEARER_WINS and each[1:] not in MEANT} == set()
