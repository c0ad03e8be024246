"""The proofs of changes that were tried together, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.models.proof import Proof


def joined(proofs: Mapping[str, Proof]) -> Proof:
    """All that was proved, by work order. What stands against one change stands against all: its sentence names the
    order."""
    parts = list(proofs.values())
    lists = ("fail_to_pass", "weak", "already_passing", "weakened", "looser", "unstable", "unproved", "runs", "flags")
    fields: dict[str, Any] = {name: _all([getattr(part, name) for part in parts]) for name in lists}
    return Proof(
        **fields,
        pass_to_pass=max((part.pass_to_pass for part in parts), default=0),
        commands=[
            command.model_copy(update={"name": f"{order}: {command.name}"})
            for order, part in proofs.items()
            for command in part.commands
        ],
        by_order={order: part.regression_tests for order, part in proofs.items()},
        reasons=[f"{order}: {reason}" for order, part in proofs.items() for reason in part.reasons],
    )


def _all(lists: Sequence[list[Any]]) -> list[Any]:
    found: list[Any] = []
    for each in lists:
        found += [item for item in each if item not in found]
    return found
