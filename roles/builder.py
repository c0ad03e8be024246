"""The builder: makes the repository's own gates faster or reproducible."""

from __future__ import annotations

from engine.models.task import Task
from roles.role import Names, Role, gates_of


def _names(task: Task) -> Names:
    return {"gates": gates_of(task)}


BUILDER = Role("builder", _names)
