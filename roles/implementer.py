"""The implementer: what it is told, and what its handoff says. What it does is the agent's own affair."""

from __future__ import annotations

from collections.abc import Sequence

from engine.models.handoffs import ChangeSummary
from engine.models.task import Task
from engine.text.sanitise import sanitise_line
from roles.role import Names, Role, gates_of, proofs_of

PATHS_IN_SUMMARY = 20


def _names(task: Task) -> Names:
    red = "These are red now and must be green with your change:\n"
    return {"gates": gates_of(task), "tests": red + proofs_of(task)}


def _from_paths(changed_paths: Sequence[str]) -> ChangeSummary:
    """A minimal summary of what an agent did that said nothing."""
    named = ", ".join(sanitise_line(path, line_cap=200) for path in changed_paths[:PATHS_IN_SUMMARY])
    more = len(changed_paths) - PATHS_IN_SUMMARY
    return ChangeSummary(
        summary=f"changes {named}{f' and {more} more' if more > 0 else ''}" if named else "changes nothing",
        risk="not said: the agent handed in nothing",
    )


IMPLEMENTER = Role("implementer", _names, _from_paths)
