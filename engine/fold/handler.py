"""What folds one kind of event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.models.event import Event
from engine.state import State

Handler = Callable[[State, Event, dict[str, Any]], None]
"""(state, event, its fields): writes the state in place; a KeyError says that it speaks of something unknown."""
