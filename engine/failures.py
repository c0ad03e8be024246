"""How a failure of an effect is told."""

from __future__ import annotations

import traceback

from engine.actions import Action
from engine.errors import SwarmError
from engine.models.event import NewEvent


def why_failed(error: Exception) -> str:
    """One clause; an error that nobody foresaw has its name in it."""
    return f"{error}" if isinstance(error, SwarmError) else f"{type(error).__name__}: {error}"


def failure_of(action: Action, error: Exception) -> NewEvent:
    """The event that counts it; with the traceback of a bug."""
    bug = "" if isinstance(error, SwarmError) else "".join(traceback.format_exception(error))[-8_000:]
    return NewEvent("effect_failed", {"effect": action.effect, "error": why_failed(error), "traceback": bug})
