"""The metrics: how well does the swarm work, and is it getting better?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.widgets import Footer, Static

from engine.models.metrics import Effort, GateTime, Metrics
from engine.text.sanitise import sanitise_line
from swarm_tui.figures import duration_text, number, percent
from swarm_tui.room import words
from swarm_tui.room.changes import Changes
from swarm_tui.room.spending_facts import night_budgets
from swarm_tui.room.tiles import tiles_of
from swarm_tui.screens.room_screen import RoomScreen
from swarm_tui.spent import at_least
from swarm_tui.widgets.figures import FigureTable, Tile
from swarm_tui.widgets.plot import Bars, Curve, Plot, load_curves

FRAMES = 10
"""Between two counts, at least."""
IDLE_FRAMES = 100
"""Between two counts while nothing happens: only the time observed grows."""
MOST_HOURS = 24
MOST_GATES = 8
NO_EVENT = "Nothing has happened yet. `swarm` or `swarm --no-ui` starts the engine; work orders are in roadmap.toml."
GATE = ("gate", "runs", "cached", "median", "p90", "first pass", "in all")
TEST = ("test that flakes on main", "flakes", "runs", "flake rate", "counts")
PROOF = ("proof that stays", "count")
FLOW = ("canary flow", "judged", "flaky", "flake rate")
KIND = ("kind of work order", "first reports", "green", "first pass")
BUDGET = ("budget tonight", "of", "used", "at most")
EFFORT = ("runs", "orders", "attempts", "landed", "cost", "cost each", "tokens each")


class Figures(VerticalScroll, can_focus=True):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", "Down", show=False, id="metrics.down"),
        Binding("k,up", "scroll_up", "Up", show=False, id="metrics.up"),
        Binding("g,home", "scroll_home", "Start", show=False, id="metrics.start"),
        Binding("G,end", "scroll_end", "End", show=False, id="metrics.end"),
        Binding("pagedown,ctrl+d,space", "page_down", "Page down", id="metrics.page_down"),
        Binding("pageup,ctrl+u", "page_up", "Page up", id="metrics.page_up"),
    ]


class MetricsScreen(RoomScreen):
    """How well does the swarm work, and is it getting better?"""

    CSS_PATH = "metrics.tcss"
    HORIZONTAL_BREAKPOINTS = [
        (0, "-tiny"), (72, "-narrow"), (110, "-wide"), (170, "-vast"),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.metrics = Metrics()
        self._counted_at = -IDLE_FRAMES
        self._changed = True
        self._head = ""

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(Text(NO_EVENT), id="none")
        with Figures(id="figures"):
            with Container(id="tiles"):
                yield from (Tile() for _ in tiles_of(Metrics()))
            with Container(id="plots"):
                yield Plot(
                    "On main", _count, empty="no change has landed yet: the timeline (t) says why", id="progress"
                )
                yield Plot("Lead time of each change", duration_text, empty="no work order is healthy yet", id="leads")
                yield Plot("Cost", _cost, empty="no agent told a cost or tokens yet", id="spent")
                yield Bars("Gate time", empty="no gate has run yet", id="gate-time")
                yield Bars("Healthy by hour", empty="no work order is healthy yet", id="hours")
            with Container(id="tables"):
                with Container(classes="column"):
                    yield FigureTable(BUDGET, empty="no budget is set: [budgets] in swarm.toml", id="by-budget")
                    yield FigureTable(GATE, empty="no gate has run yet", id="by-gate")
                    yield FigureTable(FLOW, empty="no canary has judged yet", id="by-flow")
                    yield FigureTable(TEST, empty="no test has flaked on main", id="by-test")
                    yield FigureTable(PROOF, empty="no report says yet", id="by-proof")
                    yield FigureTable(KIND, empty="no report has been signed yet", id="by-kind")
                with Container(classes="column"):
                    yield FigureTable(("agent", *EFFORT), empty="no run has ended yet", id="by-agent")
                    yield FigureTable(("role", *EFFORT), empty="no run has ended yet", id="by-role")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(Figures).focus()
        self.run_worker(self._load_curves(), exit_on_error=False)

    async def _load_curves(self) -> None:
        await asyncio.to_thread(load_curves)
        for plot in self.query(Plot):
            plot.begin()

    # -- looking -------------------------------------------------------------------------------------------------

    def frame(self, changes: Changes, tick: int) -> None:
        self._changed = self._changed or bool(changes)
        passed = tick - self._counted_at
        if changes.everything or passed >= IDLE_FRAMES or (self._changed and passed >= FRAMES):
            self._counted_at, self._changed = tick, False
            self._count()

    def _count(self) -> None:
        source = self.room.source
        # While no engine works the night is over: its figures stay what they were, as `swarm metrics` has them.
        now = self.room.now if source.engine() != "stopped" else 0.0
        self.metrics = m = source.tally.figures(now)
        self._show_head(m, source.past_read)
        self.set_class(bool(m.seq), "-known")
        none = f"Reading the journal: {source.past_read:.0%}" if source.past_read < 1.0 else NO_EVENT
        self.query_one("#none", Static).update(Text(none))
        if m.seq:
            self._show(m)

    def _show_head(self, m: Metrics, past_read: float) -> None:
        head = "Metrics"
        if m.seq:
            begins, ends = _moment(m.since), _moment(m.until)
            shown = time.strftime("%d %b %H:%M", time.localtime(begins))
            until = time.strftime("%d %b %H:%M", time.localtime(ends))
            head = f"Metrics · {shown} to {until} · {duration_text(m.observed_s)} · {m.seq:,} events"
            head += " · ▲ ▼ older half → newer half"
        elif past_read < 1.0:
            head = f"Metrics · reading the journal {past_read:.0%}"
        if head != self._head:
            self._head = head
            self.query_one("#head", Static).update(Text(head, no_wrap=True, overflow="ellipsis"))

    def _show(self, m: Metrics) -> None:
        for tile, told in zip(self.query(Tile), tiles_of(m), strict=True):
            tile.show(told)
        since, until_s = _moment(m.since), m.observed_s
        for name, curves in (("progress", _progress(m)), ("leads", _leads(m)), ("spent", _spent(m))):
            self.query_one(f"#{name}", Plot).draw(curves, since, until_s)
        self.query_one("#gate-time", Bars).show(_gate_bars(m.gates))
        self.query_one("#hours", Bars).show(_hours(m, since))
        self._table("by-gate", [_gate_row(gate) for gate in m.gates])
        self._table("by-budget", [[row.name, row.dimension, row.used_words, row.most_words]
                                  for row in night_budgets(self.room.state)])  # fmt: skip
        self._table("by-agent", [_effort_row(each) for each in m.by_agent])
        self._table("by-role", [_effort_row(each) for each in m.by_role])
        self._table("by-flow", [[_clean(each.flow), f"{each.judged:,}", f"{each.flaky:,}", _rate(each.rate)]
                                for each in m.flows])  # fmt: skip
        self._table("by-test", [[_clean(each.test), f"{each.flakes:,}", f"{each.runs:,}", _rate(each.rate),
                                 "no: quarantine" if each.quarantined else "yes"] for each in m.tests])  # fmt: skip
        self._table("by-proof", [["regression tests added", number(m.regression_tests_added)],
                                 ["limitations resolved with a test", number(m.limitations_resolved_with_a_test)],
                                 ["… without one", number(m.limitations_resolved_without_a_test)],
                                 ["limitations on the roadmap", number(m.limitations_listed)]])  # fmt: skip
        self._table("by-kind", [[_clean(kind), f"{share.of:,}", f"{share.count:,}", _rate(share.rate)]
                                for kind, share in m.first_pass_by_kind.items()])  # fmt: skip

    def _table(self, name: str, rows: Sequence[Sequence[str]]) -> None:
        self.query_one(f"#{name}", FigureTable).show(rows)


def _moment(utc: str) -> float:
    return datetime.fromisoformat(utc.replace("Z", "+00:00")).timestamp()


def _clean(text: str) -> str:
    return sanitise_line(text) or "unknown"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 3 or value == int(value) else f"{value:.1f}"


def _cost(value: float) -> str:
    return f"{value:,.2f}"


def _rate(rate: float | None) -> str:
    return "?" if rate is None else percent(rate)


def _progress(m: Metrics) -> list[Curve]:
    went, points = m.deployment, m.series.progress
    reverted = points[-1].reverted if points else 0
    curves = [
        Curve("landed", tuple((each.t_s, each.landed) for each in points), "busy", told=str(went.landed)),
        Curve("healthy", tuple((each.t_s, each.healthy) for each in points), "good", told=str(went.healthy)),
    ]
    if reverted:
        row = tuple((each.t_s, each.reverted) for each in points)
        curves.append(Curve("reverted", row, "bad", told=str(reverted)))
    return curves if went.landed or went.healthy else []


def _leads(m: Metrics) -> list[Curve]:
    points = tuple(
        (each.t_s, each.ready_to_healthy_s) for each in m.series.leads if each.ready_to_healthy_s is not None
    )
    told = duration_text(m.ready_to_healthy.median_s)
    return [Curve("median", points, "busy", total=False, told=told)]


def _spent(m: Metrics) -> list[Curve]:
    if m.effort.cost is not None:
        points = tuple((each.t_s, each.cost) for each in m.series.spent)
        return [
            Curve("spent", points, "attention", told=at_least(number(m.effort.cost, 2), m.effort.runs_without_cost))
        ]
    if m.effort.tokens is None:
        return []
    points = tuple((each.t_s, float(each.tokens)) for each in m.series.spent)
    return [
        Curve("tokens", points, "attention", told=at_least(words.amount(m.effort.tokens), m.effort.runs_without_tokens))
    ]


def _gate_bars(gates: Sequence[GateTime]) -> list[tuple[str, float, str]]:
    """The gates that took most of the time, and the rest as one."""
    ordered = sorted(gates, key=lambda gate: -gate.total_s)
    rows = [(_clean(gate.gate), gate.total_s, duration_text(gate.total_s)) for gate in ordered[:MOST_GATES]]
    if rest := ordered[MOST_GATES:]:
        total = sum(gate.total_s for gate in rest)
        rows.append((f"{len(rest)} more", total, duration_text(total)))
    return rows


def _hours(m: Metrics, since: float) -> list[tuple[str, float, str]]:
    """The newest hours (or longer stretches of a long night), each from when it began."""
    width_s, counts = m.series.bucket_s, m.series.healthy_per_bucket
    if not any(counts):
        return []
    first = max(0, len(counts) - MOST_HOURS)
    form = "%H:%M" if m.observed_s < 86_400 else "%d %b %H:%M"
    return [
        (time.strftime(form, time.localtime(since + at * width_s)), float(counts[at]), str(counts[at]))
        for at in range(first, len(counts))
    ]


def _gate_row(gate: GateTime) -> list[str]:
    median, p90 = ("?" if each is None else duration_text(each) for each in (gate.median_s, gate.p90_s))
    passed = gate.first_pass
    first = "?" if passed.rate is None else f"{percent(passed.rate)} of {passed.of}"
    return [_clean(gate.gate), f"{gate.count:,}", f"{gate.cached:,}", median, p90, first, duration_text(gate.total_s)]


def _effort_row(each: Effort) -> list[str]:
    known = [
        "?" if value is None else at_least(number(value, digits), unknown)
        for value, digits, unknown in (
            (each.attempts_per_work_order, 2, 0), (each.cost, 2, each.runs_without_cost),
            (each.cost_per_landed, 2, each.runs_without_cost), (each.tokens_per_landed, 0, each.runs_without_tokens),
        )
    ]  # fmt: skip
    attempts, cost, cost_each, tokens_each = known
    return [_clean(each.name), f"{each.runs:,}", f"{each.work_orders:,}", attempts, f"{each.landed:,}", cost, cost_each,
            tokens_each]  # fmt: skip
