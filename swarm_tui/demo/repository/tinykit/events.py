"""The event mode: commands as JSON lines in, events as JSON lines out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from tinykit.compositor import Compositor
from tinykit.document import PageNotFound
from tinykit.geometry import cells_of
from tinykit.view import View
from tinykit.viewhost import ViewHost

Event = dict[str, Any]


class CommandError(ValueError):
    """A command that cannot be carried out; the message goes out as an error event."""


class Session:
    """One window that is driven by commands."""

    def __init__(self, width_px: int = 400, height_px: int = 200) -> None:
        self.host = ViewHost(cells_of(width_px, height_px))
        self.compositor = Compositor()
        self._pixels = (width_px, height_px)
        self._commands: dict[str, Callable[[Event], Event | None]] = {
            "resize": self._resize,
            "open_view": self._open_view,
            "navigate": self._navigate,
            "back": self._back,
            "forward": self._forward,
            "scroll": self._scroll,
        }

    def handle(self, command: Event) -> list[Event]:
        """Carry out one command; the events that follow from it, the new frame last."""
        act = self._commands.get(str(command.get("kind")))
        if act is None:
            return [{"kind": "error", "reason": f"unknown command {command.get('kind')!r}"}]
        try:
            told = act(command)
        except (CommandError, PageNotFound) as error:
            return [{"kind": "error", "reason": str(error)}]
        return [*([told] if told else []), self._frame()]

    def _frame(self) -> Event:
        started, painted = time.perf_counter(), self.compositor.painted
        frame = self.compositor.compose(self.host)
        spent_ms = round((time.perf_counter() - started) * 1000, 3)
        width_px, height_px = self._pixels
        return {
            "kind": "frame",
            "w": width_px,
            "h": height_px,
            "hash": frame.digest,
            "rows": list(frame.rows),
            "ms": spent_ms,
            "cells": frame.size.width * frame.size.height * (self.compositor.painted - painted),
        }

    def _resize(self, command: Event) -> None:
        width_px, height_px = command.get("w"), command.get("h")
        if not (isinstance(width_px, int) and isinstance(height_px, int) and width_px > 0 and height_px > 0):
            raise CommandError("resize needs w and h, both whole and above zero")
        self._pixels = (width_px, height_px)
        self.host.resize(cells_of(width_px, height_px))

    def _open_view(self, command: Event) -> Event:
        view = self.host.open(str(command.get("url", "tiny:home")))
        return {"kind": "view_opened", "view": view.name, "url": view.url}

    def _navigate(self, command: Event) -> Event:
        view = self._view(command)
        view.navigate(str(command.get("url")))
        return self._navigated(view)

    def _back(self, command: Event) -> Event:
        view = self._view(command)
        view.back()
        return self._navigated(view)

    def _forward(self, command: Event) -> Event:
        view = self._view(command)
        view.forward()
        return self._navigated(view)

    def _scroll(self, command: Event) -> None:
        lines = command.get("lines", 1)
        if not isinstance(lines, int):
            raise CommandError("scroll needs lines, a whole number")
        self._view(command).scroll_by(lines)

    def _navigated(self, view: View) -> Event:
        return {"kind": "navigated", "view": view.name, "url": view.url, "title": view.title}

    def _view(self, command: Event) -> View:
        """The view that a command names, or the one with the focus."""
        name = command.get("view")
        view = self.host.find(str(name)) if name is not None else self.host.focused
        if view is None:
            raise CommandError(f"no view {name}" if name is not None else "no view is open")
        return view


def read_commands(lines: TextIO) -> Iterator[Event]:
    """Commands until the end of input or a `quit`. A line that is no JSON object becomes the command kind "garbled"."""
    for line in lines:
        try:
            command = json.loads(line)
        except ValueError:
            command = None
        if not isinstance(command, dict):
            command = {"kind": "garbled"}
        if command.get("kind") == "quit":
            return
        yield command


def serve(commands: TextIO, events: TextIO) -> None:
    """Carry out commands until they end, one line an event, flushed at once."""
    session = Session()
    sequence = 0

    def emit(event: Event) -> None:
        nonlocal sequence
        events.write(json.dumps({"seq": sequence, **event}) + "\n")
        events.flush()
        sequence += 1

    emit({"kind": "ready"})
    for command in read_commands(commands):
        for event in session.handle(command):
            emit(event)
