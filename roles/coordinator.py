"""The coordinator: cuts an item of the roadmap into work orders. What runs when is the planner's, never a model's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from engine.models.task import Task
from roles.quoting import listed
from roles.role import Names, Role, gates_of

ORDERS_SHOWN = 200


def _names(task: Task) -> Names:
    known = cast("Iterable[Mapping[str, Any]]", task.about.get("orders", ()))
    rows = (f"{each['id']} ({each['phase']}, {each['kind']}): {each['title']}" for each in known)
    orders = listed(rows, "- there are none", entries_cap=ORDERS_SHOWN)
    return {"gates": gates_of(task), "orders": orders, "item": task.work_order.item}


COORDINATOR = Role("coordinator", _names)
