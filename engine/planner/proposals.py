"""Proposed work orders: which of them always wait for a person, and what he judges them by."""

from __future__ import annotations

from engine.models.roadmap import WorkOrder
from engine.text.sanitise import sanitise_line


def loosens(order: WorkOrder) -> str:
    """Why a person decides on a proposed order although proposals are accepted; "" for no reason."""
    if order.gates:
        return "it names the gates that have to be green, and there may be more"
    if order.tests_removed or order.tests_changed:
        return "it lets tests be removed or changed"
    if not order.allow or any(_everywhere(glob) for glob in order.allow):
        return "its scope is the whole repository"
    if order.budget:
        return "it gives samples of the canary more room"
    if not order.auto_revert:
        return "main would not be put back without a person once it has landed"
    return ""


def _everywhere(glob: str) -> bool:
    """Whether neither the folder nor the file is named, not even by a part of its name."""
    return not set(glob) - set("*?./")


def shown(order: WorkOrder) -> list[str]:
    """What a person judges a proposed order by, one clean line each."""
    full = [glob for glob in order.allow if not set("*?") & set(glob) and not glob.endswith("/")]
    rows = [
        f"title: {order.title}",
        f"kind: {order.kind}, priority {order.priority}, role {order.role}",
        f"goal: {order.goal or 'not said'}",
        f"may change: {', '.join(order.allow) or 'the whole repository'}",
        *([f"named in full, also where it is protected: {', '.join(full)}"] if full else []),
        *([f"may not change: {', '.join(order.deny)}"] if order.deny else []),
        *([f"waits for: {', '.join(order.depends_on)}"] if order.depends_on else []),
        *([f"tests: {', '.join(order.tests)}"] if order.tests else []),
        *(f"acceptance {each.name}: {' '.join(each.run)}" for each in order.acceptance),
        *([f"repro: {' '.join(order.repro)}"] if order.repro else []),
        *([f"gates: {', '.join(order.gates)} alone"] if order.gates else []),
        *([f"tests to be removed: {', '.join(order.tests_removed)}"] if order.tests_removed else []),
        *([f"room for samples: {', '.join(f'{k} {v}' for k, v in order.budget.items())}"] if order.budget else []),
        *([f"tests to be changed: {', '.join(order.tests_changed)}"] if order.tests_changed else []),
        f"rollback: {order.rollback or 'not said'}",
    ]
    return [sanitise_line(row, line_cap=500) for row in rows]
