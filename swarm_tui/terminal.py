"""What a room is asked for, and whether there is a terminal to show it on."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

DUMB = ("", "dumb", "unknown")
WEB_DRIVER = "textual.drivers.web_driver:WebDriver"
"""What TEXTUAL_DRIVER says in a room that `swarm serve` started: it is drawn in a browser, through pipes."""


@dataclass(frozen=True)
class Asked:
    """What the command line asked for."""

    repo: Path | None = None
    state: Path | None = None
    until: str = ""
    log_levels: str = ""
    read_only: bool = False
    only_attach: bool = False

    @property
    def attach(self) -> bool:
        """Whether no engine may be started."""
        return self.read_only or self.only_attach


def can_show_a_room() -> bool:
    """Whether there is a terminal that a room can be drawn on, or a browser."""
    if os.environ.get("TEXTUAL_DRIVER") == WEB_DRIVER:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return sys.platform == "win32" or os.environ.get("TERM", "") not in DUMB
