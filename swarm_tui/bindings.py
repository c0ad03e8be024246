"""The keys that work everywhere in the room, in one table: each has an id, by which people may choose other keys."""

from __future__ import annotations

from textual.binding import Binding

APP_BINDINGS = [
    Binding("question_mark,f1", "help", "Help", id="app.help"),
    Binding(
        "ctrl+p",
        "command_palette",
        "Palette",
        id="app.palette",
        tooltip="Every action, every work order and run, by name",
        priority=True,
    ),
    Binding("a", "approvals", "Needs you", id="app.approvals", tooltip="Everything that waits for a decision of yours"),
    Binding("m", "metrics", "Metrics", id="app.metrics"),
    Binding("t", "timeline", "Timeline", id="app.timeline", tooltip="Everything that happened, in order"),
    Binding("w", "wall", "Logs side by side", show=False, id="app.wall"),
    Binding("p", "pause", "Pause", id="app.pause", tooltip="Start no new runs, or start them again; what runs goes on"),
    Binding("ctrl+g", "hud", "Debug figures", show=False, id="app.hud", tooltip="How quick the room itself is"),
    Binding("ctrl+t", "theme", "Next theme", show=False, id="app.theme"),
    Binding("f12", "screenshot", "Save a picture", show=False, id="app.screenshot"),
    Binding("q", "detach", "Detach", id="app.detach", tooltip="Leave the room; the engine goes on"),
    Binding("ctrl+q", "detach", "Detach", show=False, id="app.detach_anywhere"),
    Binding("ctrl+c", "interrupt", "How to leave", show=False, id="app.interrupt", priority=True),
]
"""Actions are the app's. Those in the footer are shown in this order."""
