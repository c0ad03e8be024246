"""The one line that tells how the night is: main, last good, train, runs, cost, clock, what needs you."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from swarm_tui.room import words

if TYPE_CHECKING:
    from swarm_tui.room.room import Room

Part = tuple[int, str, str]
"""(rank, text, tone): where room is short, the highest ranks go first."""


class Header(Widget):
    """Parts that do not fit are left out, least important first."""

    COMPONENT_CLASSES = {f"header--{tone}" for tone in ("good", "bad", "attention", "busy", "quiet", "plain", "strong")}

    DEFAULT_CSS = """
    Header {
        height: 1;
        background: $panel;
        padding: 0 1;
        & > .header--good { color: $text-success; text-style: bold; }
        & > .header--bad { color: $text-error; text-style: bold reverse; }
        & > .header--attention { color: $text-warning; text-style: bold; }
        & > .header--busy { color: $text-primary; }
        & > .header--quiet { color: $foreground-muted; }
        & > .header--strong { text-style: bold; }
        &:ansi > .header--good { color: ansi_green; }
        &:ansi > .header--bad { color: ansi_red; }
        &:ansi > .header--attention { color: ansi_yellow; }
        &:ansi > .header--busy { color: ansi_cyan; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="header")
        self._parts: list[Part] = [(0, "swarm", "strong"), (1, "opening …", "quiet")]

    def show_opening(self, text: str) -> None:
        self._show([(0, "swarm", "strong"), (1, text, "quiet")])

    def look(self, room: Room) -> None:
        self._show(parts_of(room))

    def _show(self, parts: list[Part]) -> None:
        if parts != self._parts:
            self._parts = parts
            self.refresh()

    def render(self) -> Text:
        width = self.content_size.width
        keep, used = list[int](), -2
        for at in sorted(range(len(self._parts)), key=lambda at: self._parts[at][0]):
            wide = cell_len(self._parts[at][1]) + 2
            if not keep or used + wide <= width:
                keep.append(at)
                used += wide
        text = Text(no_wrap=True, overflow="ellipsis")
        for number, at in enumerate(sorted(keep)):
            _, part, tone = self._parts[at]
            text.append("  " if number else "")
            text.append(part, style=self.get_component_rich_style(f"header--{tone}"))
        return text


def parts_of(room: Room) -> list[Part]:
    """What the header says, in order."""
    from engine.text.sanitise import sanitise_line
    from swarm_tui.room.spending_facts import paused_providers, until_words

    state, now = room.state, room.now
    health = words.sign(words.HEALTH, room.health)
    engine = room.source.engine()
    judging = room.health == "unknown" and any(not canary.verdict for canary in room.history.canaries[-5:])
    word, tone = ("unknown, canary runs", "busy") if judging else (health.word, health.tone)
    parts: list[Part] = [
        (2, sanitise_line(room.source.repository.name), "strong"),
        (0, f"{health.glyph} {state.branch} {state.main[:7] or '?'} {word}", tone),
    ]
    if engine == "stopped":
        parts.append((1, "■ engine stopped", "attention"))
    elif engine == "replay":
        parts.append((1, "▶ replay", "attention"))
    elif state.paused:
        parts.append((1, "‖ paused", "attention"))
    elif state.draining:
        parts.append((1, "■ finishing", "attention"))
    for name, waiting in paused_providers(state).items():
        wait = f", {len(waiting)} wait{'s' * (len(waiting) == 1)}" if waiting else ""
        until = until_words(state.spending.providers[name], now)
        parts.append((2, f"‖ {sanitise_line(name)[:20]} until {until}{wait}", "attention"))
    if room.source.read_only and engine != "replay":
        parts.append((3, "read-only", "attention"))
    if state.sandbox.get("backend") == "none":
        parts.append((3, "! no sandbox", "attention"))
    elif state.sandbox.get("reason"):
        parts.append((6, f"sandbox {sanitise_line(state.sandbox['backend'])}", "attention"))
    if state.in_force.flows or state.last_good:
        good = "♥ last good unknown" if not state.last_good else f"♥ last good {state.last_good[:7]}"
        at_tip = state.last_good == state.main
        parts.append((5, good, "quiet" if at_tip else "attention"))
    running, queue = room.phases["running"], len(state.queue())
    parts.append((6, f"▶ {running} running", "busy" if running else "quiet"))
    parts.append((6, f"≡ train {queue}", "busy" if queue else "quiet"))
    parts.append((7, f"{room.phases['healthy']}/{len(state.orders)} healthy", "plain"))
    most = state.in_force.cost_per_night
    night = state.spending.night
    lacks = "?" if night.untold_cost and night.untold_cost >= night.runs else f"{state.cost_tonight:.2f}"
    cost = ("≥" if night.untold_cost and lacks != "?" else "") + lacks + (f"/{most:.0f}" if most else "")
    parts.append((8, f"cost {cost}", "plain"))
    if room.source.past_read < 1.0:
        parts.append((4, f"reading the past {room.source.past_read:.0%}", "quiet"))
    parts.append((9, time.strftime("%H:%M", time.localtime(now)), "quiet"))
    if room.needs:
        parts.append((0, f"! {len(room.needs)} need{'s' * (len(room.needs) == 1)} you", "attention"))
    return parts
