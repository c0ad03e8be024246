"""The goldens that wait: what do canary runs propose to record as right, and how does it differ from what is?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Static

from engine.golden_state import Golden, pending
from engine.goldens import taken_back
from engine.text.sanitise import sanitise_line
from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.room.golden_facts import GoldenFacts, facts_of, kind_of
from swarm_tui.screens.confirm import Asked
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.widgets.pane import Pane
from swarm_tui.widgets.prose import BLANK, Line, Prose, Span, line
from swarm_tui.widgets.rows import Cell, Column, Rows

COLUMNS = (
    Column("golden", 0),
    Column("flow", 14, from_width=60),
    Column("commit", 10, from_width=80),
    Column("", 8),
    Column("for", 4, right=True, from_width=40),
)
EMPTY = "no golden waits: what canary runs showed is what is recorded, or was decided"
TONES = {"-": "removed", "+": "added"}


class GoldensScreen(RoomScreen):
    """What is to be recorded as right?"""

    CSS_PATH = "goldens.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("A", "accept", "Accept", id="goldens.accept"),
        Binding("H", "accept(True)", "Accept here only", id="goldens.accept_keyed"),
        Binding("X", "reject", "Reject", id="goldens.reject"),
        Binding("c", "canary", "Canary", id="goldens.canary"),
        Binding("o", "order", "Work order", id="goldens.order"),
    ]

    def __init__(self, about: str = "") -> None:
        """about: the golden that is selected first; "" is the oldest."""
        super().__init__()
        self._about = about
        self._waiting: dict[str, Golden] = {}
        self._facts: dict[str, GoldenFacts] = {}
        """By golden: artifacts never change."""
        self._loading = ""

    def compose(self) -> ComposeResult:
        yield Static("Goldens", id="title")
        yield Rows(COLUMNS, self._cells, empty=EMPTY, id="golden-rows")
        with Pane(id="golden-detail"):
            yield Prose(id="golden-text")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self._look()
        if self._about in self._waiting:
            self._rows.select(self._about)
        self._rows.focus()

    @property
    def _rows(self) -> Rows:
        return self.query_one("#golden-rows", Rows)

    @property
    def golden(self) -> Golden | None:
        """The one under the cursor."""
        return self._waiting.get(self._rows.key)

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        if changes:
            self._look()
        elif tick % 10 == 0:
            self._rows.touch()

    def _look(self) -> None:
        found = pending(self.room.state.goldens.values())
        self._waiting = {one.id: one for one in found}
        rows = self._rows
        rows.show(list(self._waiting))
        rows.styles.height = max(2, len(found) + 1)
        rows.touch()
        count = len(found)
        said = f"Goldens · {count} wait{'s' * (count == 1)} for you" if count else "Goldens · nothing waits"
        self.query_one("#title", Static).update(said)
        self._show()

    def _cells(self, key: str) -> Sequence[Cell]:
        one = self._waiting.get(key)
        if one is None:
            return [Cell("")] * len(COLUMNS)
        return (
            Cell(sanitise_line(one.path)),
            Cell(sanitise_line(one.flow), "quiet"),
            Cell(one.commit[:10], "quiet"),
            Cell(kind_of(one), "attention"),
            Cell(words.age(self.room.now - one.seen_at), "quiet"),
        )

    def _show(self, *, top: bool = False) -> None:
        one, text = self.golden, self.query_one("#golden-text", Prose)
        self.refresh_bindings()
        self.query_one("#golden-detail", Pane).head(
            sanitise_line(one.path) if one else "Difference", one.id if one else ""
        )
        if one is None:
            text.show([])
            return
        facts = self._facts.get(one.id)
        if facts is None and self._loading != one.id:
            self._loading = one.id
            self.run_worker(self._load(one), group="golden", exclusive=True)
        text.show([*self._head(one), BLANK, *(_difference(facts) if facts else [line("reading …")])])
        if top:
            text.scroll_home(animate=False)

    async def _load(self, one: Golden) -> None:
        self._facts[one.id] = await asyncio.to_thread(facts_of, self.room.source.folders, one)
        if self.lives:
            self._show(top=True)

    def _head(self, one: Golden) -> list[Line]:
        whose = f" by {sanitise_line(one.order)}" if one.order else ""
        what = "says something else than" if one.was else "is not recorded yet; this is"
        lines = [
            line(f"flow {sanitise_line(one.flow)} on {one.commit[:10]}{whose}: {sanitise_line(one.path)} {what}"
                 " what it showed", hang=2),
        ]  # fmt: skip
        lines += [line(Span(sanitise_line(one.said), "bad" if one.was else "attention"), hang=2)] if one.said else []
        lines += [line(Span(f"it did not land: {sanitise_line(one.why)}", "bad"), hang=2)] if one.why else []
        return lines

    def on_rows_moved(self) -> None:
        self._show(top=True)

    def on_rows_opened(self) -> None:
        self.query_one("#golden-text", Prose).focus()

    # -- actions -------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.lives or action not in ("accept", "reject", "canary", "order"):
            return True
        one = self.golden
        return one is not None and (action != "order" or bool(one.order)) and (not parameters or one.keyed != one.path)

    def action_accept(self, keyed: bool = False) -> None:
        """Record what was shown as right; asks first."""
        if (one := self.golden) is None:
            return
        path = one.keyed if keyed else one.path
        away = taken_back(self.room.state, one.commit)
        lands = "the change that was taken back for it again, with this file" if away else "a change with this one file"
        asked = Asked(
            f"Accept {sanitise_line(path)}?",
            [
                f"takes what flow {sanitise_line(one.flow)} showed on {one.commit[:10]} for right, exactly {one.id}",
                f"lands {lands}, through the gates",
            ],
            "every other golden; a commit that takes it back again is an ordinary change",
        )
        self.room_app.ask_first(asked, "golden_accept", {"golden": one.id, "path": path})

    def action_reject(self) -> None:
        """Say that the program is wrong; asks first."""
        if (one := self.golden) is None:
            return
        asked = Asked(
            f"Reject what flow {sanitise_line(one.flow)} showed?",
            ["closes it: exactly this is not proposed again", "the program is wrong, and has to be mended"],
            f"{sanitise_line(one.path)} and main as they are",
        )
        self.room_app.ask_first(asked, "golden_reject", {"golden": one.id})

    def action_canary(self) -> None:
        """Open the canary of the commit that showed it."""
        if one := self.golden:
            runs = self.room.history.canaries
            about = next((run.about for run in reversed(runs) if run.commit == one.commit), "")
            self.room_app.action_open_canary(about)

    def action_order(self) -> None:
        """Open the work order that it came with."""
        if (one := self.golden) and one.order:
            self.room_app.action_open_order(one.order)


def _difference(facts: GoldenFacts) -> list[Line]:
    lines = [line(Span(facts.problem, "bad"), hang=2)] if facts.problem else []
    lines += [line(Span(f"{sign} {text}", TONES.get(sign, "quiet")), hang=4) for sign, text in facts.rows]
    if not facts.rows:
        lines += [line(Span(f"{what:<11}", "quiet"), str(path), hang=11) for what, path in facts.files]
    return lines
