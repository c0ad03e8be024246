"""The roadmap pane: items and their work orders, each with its state; filtered as you type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.widgets.pane import Pane
from swarm_tui.widgets.rows import Cell, Column, Rows

if TYPE_CHECKING:
    from engine.state import Order
    from swarm_tui.room.room import Room

ITEM = "item:"
AGE_S = 2.0
"""Between two looks at the ages, whichever frames are drawn."""
COLUMNS = (
    Column("work order", 0),
    Column("state", 11),
    Column("title", 0, from_width=64),
    Column("for", 4, right=True, from_width=30),
)
EMPTY = "no work orders: add a [[work_order]] to roadmap.toml; it is taken within a second"


class RoadmapPane(Pane):
    """What is to be done, and how far is it?"""

    WORD, NUMBER = "Roadmap", 1

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="roadmap.filter"),
        Binding("space", "fold", "Fold item", show=False, id="roadmap.fold"),
        Binding("R", "retry", "Retry work order", show=False, id="roadmap.retry"),
        Binding("X", "cancel", "Cancel work order", show=False, id="roadmap.cancel"),
    ]

    DEFAULT_CSS = """
    RoadmapPane > #roadmap-filter { display: none; height: 1; border: none; padding: 0 1; background: $surface; }
    RoadmapPane > #roadmap-filter.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="roadmap")
        self._room: Room | None = None
        self._folded: set[str] = set()
        self._filter = ""
        self._layout: list[tuple[str, list[str]]] = []
        self._items: dict[str, str] = {}
        self._aged = 0
        """When the ages on the screen were drawn last, in units of `AGE_S`."""

    def contents(self) -> ComposeResult:
        yield Rows(COLUMNS, self._cells, empty="opening …", id="roadmap-rows")
        yield Input(placeholder="filter by id, title or state; enter keeps it, escape clears it", id="roadmap-filter")

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    @property
    def order(self) -> str:
        """The work order under the cursor; "" on an item."""
        key = self.rows.key
        return "" if key.startswith(ITEM) else key

    @property
    def view(self) -> dict[str, object]:
        """What is worth remembering of this view."""
        return {"filter": self._filter, "folded": sorted(self._folded), "key": self.rows.key}

    def restore(self, view: dict[str, object]) -> None:
        """Take up a remembered view; what does not fit is left alone."""
        folded, text = view.get("folded"), view.get("filter")
        if isinstance(folded, list):
            self._folded = {each for each in folded if isinstance(each, str)}
        if isinstance(text, str) and text:
            self._filter = text
            with self.prevent(Input.Changed):
                self.query_one(Input).value = text
            self.query_one(Input).set_class(True, "-open")

    # -- looking -------------------------------------------------------------------------------------------------

    def look(self, room: Room, changes: Changes, tick: int) -> None:
        self._room = room
        rows = self.rows
        if changes.everything or any(event.kind == "work_order_added" for event in changes.events):
            rows.empty = EMPTY
            self._arrange(room)
            rows.touch()
        elif changes:
            if self._filter:
                rows.show(self._keys())
            items = {
                f"{ITEM}{room.state.orders[order].spec.item}" for order in changes.orders & room.state.orders.keys()
            }
            rows.touch([*changes.orders, *items])
        elif (moment := int(room.now // AGE_S)) != self._aged:
            self._aged = moment
            rows.touch(key for key in self._seen_running(room))
        healthy, count = room.phases["healthy"], len(room.state.orders)
        shown = f" · filter {self._filter}" if self._filter else ""
        self.head(f"Roadmap{shown}", f"{healthy} of {count} healthy" if count else "")

    def _seen_running(self, room: Room) -> list[str]:
        """Orders on the screen whose age changes by the second."""
        top, height = self.rows.scroll_offset.y, self.rows.size.height
        return [key for key in self.rows.keys[top : top + height] if not key.startswith(ITEM)]

    def _arrange(self, room: Room) -> None:
        """Items in the roadmap's order, with their work orders; those without an item come last."""
        self._items = room.history.items
        by_item: dict[str, list[str]] = {item: [] for item in self._items}
        for ident, order in room.state.orders.items():
            by_item.setdefault(order.spec.item if order.spec.item in by_item else "", []).append(ident)
        self._layout = [(item, orders) for item, orders in by_item.items() if orders or item]
        self.rows.show(self._keys())

    def _keys(self) -> list[str]:
        keys: list[str] = []
        for item, orders in self._layout:
            shown = [order for order in orders if self._matches(order)] if self._filter else orders
            if item and (shown or not self._filter):
                keys.append(f"{ITEM}{item}")
            if item not in self._folded or self._filter:
                keys += shown
        return keys

    def _matches(self, ident: str) -> bool:
        assert self._room is not None
        order = self._room.state.orders.get(ident)
        if order is None:
            return False
        text = f"{ident} {order.spec.title} {order.phase} {self._items.get(order.spec.item, '')}".casefold()
        return all(word in text for word in self._filter.casefold().split())

    def _cells(self, key: str) -> Sequence[Cell]:
        from engine.text.sanitise import sanitise_line

        room = self._room
        assert room is not None
        if key.startswith(ITEM):
            return self._item_cells(room, key.removeprefix(ITEM), sanitise_line)
        order = room.state.orders.get(key)
        if order is None:
            return (Cell(sanitise_line(key), "quiet"), Cell("gone", "quiet"), Cell(""), Cell(""))
        sign = _sign(room, order)
        indent = "  " if order.spec.item in self._items else ""
        since = words.age(room.now - order.since) if order.since and order.phase not in ("healthy", "cancelled") else ""
        return (
            Cell(indent + sanitise_line(key), "quiet" if sign.tone == "quiet" else "plain"),
            Cell(f"{sign.glyph} {sign.word}", sign.tone),
            Cell(_about(room, order, sanitise_line), "quiet"),
            Cell(since, "quiet"),
        )

    def _item_cells(self, room: Room, item: str, clean: words.Clean) -> Sequence[Cell]:
        orders = next((orders for each, orders in self._layout if each == item), [])
        healthy = sum(room.state.orders[order].phase == "healthy" for order in orders if order in room.state.orders)
        glyph = "▸" if item in self._folded else "▾"
        title = clean(self._items.get(item, item))
        return (Cell(f"{glyph} {title}", "strong"), Cell(f"{healthy}/{len(orders)}", "quiet"), Cell(""), Cell(""))

    # -- actions -------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        field = self.query_one(Input)
        field.set_class(True, "-open")
        field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._filter = event.value.strip()
        if self._room is not None:
            self.rows.show(self._keys())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(Input).set_class(bool(self._filter), "-open")
        self.screen.set_focus(self.rows)  # at once: the next key is for the table

    def clear_filter(self) -> bool:
        """Close the filter; False when there was none."""
        field = self.query_one(Input)
        if not field.has_class("-open"):
            return False
        field.value = ""
        field.set_class(False, "-open")
        self.rows.focus()
        return True

    def action_fold(self) -> None:
        key = self.rows.key
        if not key or self._room is None:
            return
        order = self._room.state.orders.get(key)
        item = key.removeprefix(ITEM) if key.startswith(ITEM) else order.spec.item if order else ""
        if item in self._items:
            self._folded ^= {item}
            self.rows.show(self._keys())
            self.rows.touch([f"{ITEM}{item}"])
            self.rows.select(f"{ITEM}{item}" if item in self._folded else key)

    def on_rows_opened(self, event: Rows.Opened) -> None:
        if event.key.startswith(ITEM):
            event.stop()
            self.action_fold()

    def action_retry(self) -> None:
        self._command("retry")

    def action_cancel(self) -> None:
        self._command("cancel")

    def _command(self, name: str) -> None:
        from swarm_tui.app import RoomApp

        if self.order and isinstance(self.app, RoomApp):
            self.app.ask_order(name, self.order)


def _sign(room: Room, order: Order) -> words.Sign:
    """Its phase; of an order that waits for a person's word or for a provider's reset, that."""
    from swarm_tui.room.spending_facts import pending_proposal, provider_waited_for

    if order.proposed_by and order.phase == "draft" and pending_proposal(room.state, order):
        return words.PROPOSAL
    return words.AT_LIMIT if provider_waited_for(room.state, order) else words.sign(words.PHASES, order.phase)


def _about(room: Room, order: Order, clean: words.Clean) -> str:
    """Why an order waits, where that says more than its title."""
    from swarm_tui.room.spending_facts import pending_proposal, provider_waited_for, until_words

    if order.phase == "parked":
        return clean(order.why)
    if order.proposed_by and order.phase == "draft" and pending_proposal(room.state, order):
        return clean(f"proposed by {order.proposed_by}: take it on or not (a)")
    if provider := provider_waited_for(room.state, order):
        return clean(f"waits for {provider}, until {until_words(room.state.spending.providers[provider], room.now)}")
    if order.phase in ("draft", "ready"):
        orders = room.state.orders
        open_ones = [each for each in [*order.spec.depends_on, *order.waits_for]
                     if each not in orders or orders[each].phase not in ("landed", "healthy")]  # fmt: skip
        if open_ones:
            return clean(f"waits for {', '.join(open_ones)}")
    return clean(order.spec.title)
