"""The scribe: writes down what landed and why, where the repository keeps such things."""

from __future__ import annotations

from engine.models.task import Task
from roles.role import Names, Role, text_of


def _names(task: Task) -> Names:
    return {"adr": text_of(task, "adr")}


SCRIBE = Role("scribe", _names)
