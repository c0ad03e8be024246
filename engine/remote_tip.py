"""Which commit of hub's main the remote should have."""

from __future__ import annotations

from engine.models.settings import Settings
from engine.state import State


def remote_tip(state: State, settings: Settings) -> str:
    """By push, main as it is. By pull request, what is good: who merges one is no canary. "": nothing yet."""
    careful = settings.merge.land_via == "pull_request" and settings.judges
    return state.last_good if careful else state.main
