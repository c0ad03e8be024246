"""One pane of a screen alone, and back. The style sheet says what `-zoomed`, `-chosen` and `-aside` look like."""

from __future__ import annotations

from textual.containers import Vertical
from textual.screen import Screen

from swarm_tui.widgets.pane import Pane


def toggle_zoom(screen: Screen[None]) -> None:
    """The focused pane alone, or all of them again."""
    focused = next((pane for pane in screen.query(Pane) if pane.has_focus_within), None)
    zoom(screen, None if screen.has_class("-zoomed") else focused)


def zoom(screen: Screen[None], chosen: Pane | None) -> None:
    """This pane alone; None: all of them."""
    screen.set_class(chosen is not None, "-zoomed")
    for part in screen.query(Vertical):
        if isinstance(part, Pane):
            part.set_class(part is chosen, "-chosen")
        else:
            part.set_class(chosen is not None and chosen not in part.children, "-aside")
