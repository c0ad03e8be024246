"""The help: what can I press here, what does this sign mean, and where do settings lie?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from swarm_tui.app import RoomApp
from swarm_tui.room.all_bindings import SHARED, Bound, all_bindings, area_title, bindings_of, owners
from swarm_tui.room.glossary import SIGNS, WORDS
from swarm_tui.room.key_names import shown
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.widgets.rows import Cell, Column, Rows

COLUMNS = (
    Column("key", 13),
    Column("what", 18),
    Column("in a line", 0),
    Column("id, for [keys] in room.toml", 28, from_width=96),
)


@dataclass(frozen=True)
class Entry:
    """One row. `tone`: of the first cell."""

    first: str
    what: str
    line: str
    ident: str = ""
    tone: str = "busy"


class HelpFilter(Input):
    """The field in which the help is searched."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.end_filter", "End search", id="help.end_filter"),
        Binding("down", "screen.to_rows", "To the rows", show=False, id="help.to_rows"),
    ]


class HelpScreen(RoomScreen):
    """What can I press here?"""

    CSS_PATH = "help.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Search", id="help.filter"),
        Binding("y", "copy", "Copy id", id="help.copy"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._sections: list[tuple[str, list[Entry]]] = []
        self._entries: dict[str, Entry | str] = {}
        self._filter = ""

    def compose(self) -> ComposeResult:
        yield Static(Text("Help", style="bold"), id="help-title")
        yield HelpFilter(placeholder="a key, a word or an id; escape ends the search", id="help-filter")
        yield Rows(COLUMNS, self._cells, empty="nothing of that name; escape ends the search", id="help-rows")
        yield Static(id="help-about")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        below = self.app.screen_stack[-2] if len(self.app.screen_stack) > 1 else self.app.screen
        self._sections = [
            ("Here", list(_here(below))),
            (area_title("app"), [self._entry(bound) for bound in bindings_of(RoomApp)]),
            ("Settings", list(self._settings())),
        ]
        self._arrange()
        self.rows.focus()
        self._read_all()

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    # -- what there is -------------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True)
    def _read_all(self) -> None:
        """All bindings are known only once every screen was imported."""
        owners()
        self.app.call_from_thread(self._add_all)

    def _add_all(self) -> None:
        if not self.lives:
            return
        by_area: dict[str, list[Bound]] = {}
        for bound in all_bindings():
            if bound.owner is not RoomApp:
                by_area.setdefault(bound.area, []).append(bound)
        for area in sorted(by_area, key=lambda each: (each != "main", area_title(each))):
            self._sections.append((area_title(area), [self._entry(bound) for bound in by_area[area]]))
        self._sections += [(f"Signs of {at}", list(_signs(signs, means))) for at, signs, means in SIGNS]
        self._sections.append(("Words", [Entry("", word, line) for word, line in WORDS]))
        self._arrange()

    def _entry(self, bound: Bound) -> Entry:
        """A binding with the keys it has now."""
        keymap = self.app._keymap  # pyright: ignore[reportPrivateUsage] - Textual has no other way to ask
        return _entry(bound, keymap.get(bound.ident, ""))

    def _settings(self) -> Iterator[Entry]:
        app = self.room_app
        chosen = app.preferences
        yield Entry("", "your room", f"{chosen.path}: theme, [keys], bell, notify, popup, editor")
        yield Entry("", "for example", f'theme = "{app.theme}"  and below [keys]  "app.detach" = "Q"')
        yield Entry("", "themes", ", ".join(sorted(app.available_themes)))
        if app.opened:
            root = app.room.source.repository
            yield Entry("", "this repository", f"{root / 'swarm.toml'}, {root / 'roadmap.toml'}")
            yield Entry("", "its state", str(app.room.source.folders.root))
        for problem in chosen.problems:
            yield Entry("!", "is wrong", problem, tone="attention")

    # -- the rows ------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        keys: list[str] = []
        self._entries = {}
        words = self._filter.casefold().split()
        for title, entries in self._sections:
            found = [each for each in entries if _matches(each, title, words)]
            if not found:
                continue
            keys.append(f"# {title}")
            self._entries[keys[-1]] = title
            for entry in found:
                keys.append(f"{title}/{len(keys)}")
                self._entries[keys[-1]] = entry
        self.rows.show(keys)
        self.rows.touch()
        self._say_about()

    def _cells(self, key: str) -> Sequence[Cell]:
        from engine.text.sanitise import sanitise_line

        entry = self._entries[key]
        if isinstance(entry, str):
            first, _, rest = (entry, "", "") if len(entry) <= COLUMNS[0].width else entry.partition(" ")
            return (Cell(first, "strong"), Cell(rest, "strong"), Cell(""), Cell(""))
        line = Cell(sanitise_line(entry.line), "quiet")
        return (Cell(f"  {entry.first}", entry.tone), Cell(entry.what), line, Cell(entry.ident, "quiet"))

    def on_rows_moved(self, event: Rows.Moved) -> None:
        event.stop()
        self._say_about()

    def _say_about(self) -> None:
        """All of the row under the cursor, for what is cut in it."""
        from engine.text.sanitise import sanitise_line

        entry = self._entries.get(self.rows.key)
        text = Text(overflow="fold")
        if isinstance(entry, Entry):
            text.append(f"{entry.what}{': ' if entry.line else ''}", style="bold")
            text.append(sanitise_line(entry.line))
            text.append(f"  ·  {entry.ident}" if entry.ident else "", style="italic")
        elif entry:
            text.append(entry, style="bold")
        self.query_one("#help-about", Static).update(text)

    # -- actions -------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Show only rows with these words."""
        field = self.query_one(HelpFilter)
        field.add_class("-open")
        field.focus()

    def action_end_filter(self) -> None:
        """Show everything again."""
        field = self.query_one(HelpFilter)
        field.value = ""
        field.remove_class("-open")
        self.rows.focus()

    def action_to_rows(self) -> None:
        """Go on to what was found."""
        self.rows.focus()

    def action_copy(self) -> None:
        """Copy the id of this binding, for [keys] in room.toml."""
        entry = self._entries.get(self.rows.key)
        if isinstance(entry, Entry) and entry.ident:
            self.app.copy_to_clipboard(entry.ident)
            self.room_app.say(f"copied {entry.ident}")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._filter = event.value
        self._arrange()
        self.rows.select(next((key for key in self.rows.keys if isinstance(self._entries[key], Entry)), ""))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.rows.focus()


def _here(screen: Screen[Any]) -> Iterator[Entry]:
    """What can be pressed on a screen now, nearest first; several keys of one action stand together."""
    found: dict[tuple[int, str], tuple[list[str], Binding, type[Any]]] = {}
    for key, (node, binding, enabled, _) in screen.active_bindings.items():
        if enabled and binding.id:
            found.setdefault((id(node), binding.id), ([], binding, type(node)))[0].append(key)
    own = [each for each in found.values() if (each[1].id or "").partition(".")[0] != "app"]
    for keys, binding, owner in sorted(own, key=lambda each: (each[1].id or "").partition(".")[0] in SHARED):
        yield _entry(_bound_of(owner, binding), ",".join(sorted(keys, key=lambda key: len(key) > 1)))


def _bound_of(owner: type[Any], binding: Binding) -> Bound:
    for base in owner.__mro__:
        for bound in bindings_of(base) if "BINDINGS" in vars(base) else ():
            if bound.ident == binding.id:
                return bound
    return Bound(binding.id or "", (binding.key,), binding.action, binding.description, binding.description, owner)


def _entry(bound: Bound, keys: str = "") -> Entry:
    spelled = keys.split(",") if keys else bound.keys
    line = bound.help.rstrip(".") if bound.help != bound.words else ""
    return Entry(" ".join(shown(key) for key in spelled), bound.words, line, bound.ident)


def _signs(signs: dict[str, Any], means: dict[str, str]) -> Iterator[Entry]:
    for key, sign in signs.items():
        yield Entry(sign.glyph, sign.word, means.get(key, ""), tone=sign.tone)


def _matches(entry: Entry, title: str, words: Iterable[str]) -> bool:
    text = f"{entry.first} {entry.what} {entry.line} {entry.ident} {title}".casefold()
    return all(word in text for word in words)
