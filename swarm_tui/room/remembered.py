"""What the room remembers of its view: in the state folder, so that it looks the same when it is opened again.

Nothing depends on it: a file that is damaged, or written by another version, is as good as none.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swarm_tui.screens.main import MainScreen

FILE = "room.json"
MOST_BYTES = 1_000_000
LOOK_TICKS = 30
"""Frames between two looks at whether the view changed."""

View = dict[str, Any]


def read_view(path: Path) -> View:
    """What was remembered; empty when there is nothing that can be read. Never raises."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        found = json.loads(raw) if len(raw) <= MOST_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_view(path: Path, view: View) -> None:
    """Put the view into the file as a whole: who reads sees the old one or the new one. Fails in silence."""
    with contextlib.suppress(OSError):
        made, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(made, "w", encoding="utf-8") as file:
                json.dump(view, file, ensure_ascii=True)
            Path(name).replace(path)  # refused on Windows while another room reads it: the next look tries again
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise


def view_of(main: MainScreen) -> View:
    """What is worth remembering of the main screen."""
    from swarm_tui.widgets.roadmap import RoadmapPane

    focused = next((pane.NUMBER for pane in main.panes if pane.has_focus_within), 0)
    return {
        "version": 1,
        "pane": focused,
        "zoomed": main.has_class("-zoomed"),
        "roadmap": main.query_one(RoadmapPane).view,
    }


def restore(main: MainScreen, view: View) -> None:
    """Take up a view before the first frame; what does not fit is left alone."""
    from swarm_tui.widgets.roadmap import RoadmapPane

    roadmap = view.get("roadmap")
    if isinstance(roadmap, dict):
        main.query_one(RoadmapPane).restore(roadmap)
    number = view.get("pane")
    chosen = next((pane for pane in main.panes if number == pane.NUMBER and pane.display), None)
    if chosen is not None:
        main.action_pane(chosen.NUMBER)
        if view.get("zoomed") is True:
            main.zoom(chosen)


@dataclass
class ViewMemory:
    """Keeps the file of one room up to date. `writes`: False for a room that only looks."""

    path: Path
    writes: bool = True
    _last: View = field(default_factory=View)
    _cursor: str = ""
    _writing: Future[None] | None = None
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="view"))

    def restore(self, main: MainScreen) -> None:
        """Read it back, before the first frame."""
        view = read_view(self.path)
        restore(main, view)
        roadmap = view.get("roadmap")
        cursor = roadmap.get("key") if isinstance(roadmap, dict) else ""
        self._cursor = cursor if isinstance(cursor, str) else ""
        self._last = view

    def frame(self, main: MainScreen, tick: int) -> None:
        """Called each frame: put the cursor back once its row is there; write when the view changed."""
        if self._cursor:
            self._put_cursor(main)
        if tick % LOOK_TICKS == 0 and self.writes and not self._busy:
            view = view_of(main)
            if view != self._last:
                self._last = view
                self._writing = self._writer.submit(write_view, self.path, view)

    def close(self, main: MainScreen) -> None:
        """Write what is not yet written. The last room that closes wins."""
        self._writer.shutdown(wait=True, cancel_futures=True)
        if self.writes and (view := view_of(main)) != self._last:
            self._last = view
            write_view(self.path, view)

    @property
    def _busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    def _put_cursor(self, main: MainScreen) -> None:
        from swarm_tui.widgets.roadmap import RoadmapPane

        rows = main.query_one(RoadmapPane).rows
        if self._cursor in rows.keys:
            rows.select(self._cursor)
            self._cursor = ""
        elif rows.keys and main.room.source.past_read == 1.0:
            self._cursor = ""  # it is gone
