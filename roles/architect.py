"""The architect: writes down the interfaces before anybody builds behind them."""

from __future__ import annotations

from engine.models.task import Task
from roles.role import Names, Role, text_of


def _names(task: Task) -> Names:
    return {"adr": text_of(task, "adr"), "item": task.work_order.item}


ARCHITECT = Role("architect", _names)
