"""What the palette (ctrl+p) offers: every action that has a key here, what has none, and every work order and run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.command import Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen

if TYPE_CHECKING:
    from swarm_tui.app import RoomApp
    from swarm_tui.room.room import Room

MOST_HITS = 40
SLICE = 500
"""Names that are looked at before the room gets to draw again."""
_NO_COMMANDS = ("command_palette", "interrupt")
"""Actions that make no sense in the palette."""
_RARELY_WANTED = ("rows", "log")
"""Areas whose actions are only offered when they are searched: their keys are known by heart."""


def commands_of(app: RoomApp, screen: Screen[Any]) -> Iterator[SystemCommand]:
    """Everything that can be done from `screen`; the palette asks for it anew each time."""
    yield from _bound(app, screen)
    yield from _of_the_engine(app)
    for name in app.available_themes:
        current = " (now)" if name == app.theme else ""
        yield SystemCommand(f"Theme: {name}", f"Change the colours{current}", partial(_choose_theme, app, name), False)
    if app.opened:
        yield SystemCommand("Copy the path of the state folder", "Into the clipboard", partial(_copy_state_folder, app))


# -- what has a key --------------------------------------------------------------------------------------------------


def _bound(app: RoomApp, screen: Screen[Any]) -> Iterator[SystemCommand]:
    seen: dict[tuple[int, str], list[str]] = {}
    chosen: dict[tuple[int, str], tuple[DOMNode, Binding]] = {}
    for key, (node, binding, enabled, _) in screen.active_bindings.items():
        answers = node is screen and screen.is_modal  # a question is answered by its own keys only
        if answers or not enabled or not binding.description or binding.action.rpartition(".")[2] in _NO_COMMANDS:
            continue
        at = (id(node), binding.action)
        chosen.setdefault(at, (node, binding))
        seen.setdefault(at, []).append(key)
    for at, (node, binding) in chosen.items():
        area = (binding.id or "").partition(".")[0]
        ours = bool(binding.id)
        yield SystemCommand(
            _title(area, binding.description),
            _help(node, binding, seen[at]),
            partial(app.run_action, binding.action, node),
            ours and area not in _RARELY_WANTED,
        )


def _title(area: str, description: str) -> str:
    from swarm_tui.room.all_bindings import area_title

    return description if area in ("app", "screen", "main", "") else f"{area_title(area)}: {description}"


def _help(node: DOMNode, binding: Binding, keys: Iterable[str]) -> str:
    """As markup, which is what the palette takes."""
    from swarm_tui.room.all_bindings import help_line
    from swarm_tui.room.key_names import shown

    line = help_line(type(node), binding)
    more = f" · {line}" if line != binding.description else ""
    return as_markup(f"{' '.join(shown(key) for key in keys)}{more}")


def as_markup(text: str) -> str:
    """Markup that shows as this text. `Content.markup` lets through tags that are read all the same."""
    return text.replace("[", "\\[")


# -- what has no key of its own --------------------------------------------------------------------------------------


def _of_the_engine(app: RoomApp) -> Iterator[SystemCommand]:
    if not app.opened or app.room.source.read_only:
        return
    if app.room.source.engine() == "running":
        if app.room.state.paused or any(one.asks for one in app.room.state.spending.providers.values()):
            yield SystemCommand("Engine: resume", "Start new runs again", partial(app.tell, "resume"))
        if not app.room.state.paused:
            yield SystemCommand("Engine: pause", "Start no new runs; what runs goes on", partial(app.tell, "pause"))
    for title, line, action in (
        ("Engine: finish and stop", "Finish what runs, then stop; asks first", "finish_engine"),
        ("Engine: stop now", "Interrupted runs keep their files; asks first", "stop_engine"),
        ("Engine: start", "When the one that was attached to has ended", "start_engine"),
    ):
        if action == "start_engine" and app.room.start_engine is None:
            continue
        fits = (app.room.source.engine() == "running") == (action != "start_engine")
        if fits and callable(getattr(app, f"action_{action}", None)):
            yield SystemCommand(title, line, partial(app.run_action, action))


def _choose_theme(app: App[Any], name: str) -> None:
    app.theme = name


def _copy_state_folder(app: RoomApp) -> None:
    path = str(app.room.source.folders.root)
    app.copy_to_clipboard(path)
    app.say(f"copied {path}")


# -- work orders and runs --------------------------------------------------------------------------------------------


class NightSearch(Provider):
    """Opens a work order or a run by what is remembered of its name. Looks only when something was typed."""

    async def search(self, query: str) -> Hits:
        app = self._room_app
        if not app.opened:
            return
        found: list[tuple[float, str, str, Callable[[], None]]] = []
        match = matcher_of(query)
        for number, (name, about, open_it) in enumerate(_names(app.room, app)):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if score := match(name, about):
                found.append((score, name, about, open_it))
        found.sort(key=lambda hit: -hit[0])
        for score, name, about, open_it in found[:MOST_HITS]:
            yield Hit(score, Content(name), open_it, text=name, help=as_markup(about))

    @property
    def _room_app(self) -> RoomApp:
        from swarm_tui.app import RoomApp

        assert isinstance(self.app, RoomApp)
        return self.app


def _names(room: Room, app: RoomApp) -> Iterable[tuple[str, str, Callable[[], None]]]:
    """(name, what it is, what opens it). A copy: the night goes on while it is searched."""
    from engine.text.sanitise import sanitise_line

    for ident, order in list(room.state.orders.items()):
        about = f"work order, {order.phase} · {sanitise_line(order.spec.title)}"
        yield sanitise_line(ident), about, partial(app.action_open_order, ident)
    for run in list(room.history.runs.values()):
        about = f"run of {sanitise_line(run.order)}, {run.result or 'running'}"
        yield sanitise_line(run.run), about, partial(app.action_open_run, run.run)


def matcher_of(query: str) -> Callable[[str, str], float]:
    """A function that rates (name, what it is) from 0, no match, to 1: the words begin the name, are in it, are in
    what it is, or at least their letters are in the name in this order."""
    folded = query.casefold().strip()
    words = folded.split()
    letters = "".join(words)

    def rated(name: str, about: str) -> float:
        name = name.casefold()
        if name.startswith(folded):
            return 1.0 if name == folded else 0.95
        if all(word in name for word in words):
            return 0.85
        about = about.casefold()
        if all(word in name or word in about for word in words):
            return 0.6
        if span := _spanned(letters, name):
            return 0.3 + 0.2 * len(folded) / span
        return 0.0

    return rated


def _spanned(letters: str, name: str) -> int:
    """How many characters of the name hold these letters in this order; 0 when they are not in it. Takes one pass: a
    regular expression would try every way to choose among equal letters."""
    start = at = name.find(letters[0])
    for letter in letters:
        at = name.find(letter, at) + 1
        if not at:
            return 0
    return at - start
