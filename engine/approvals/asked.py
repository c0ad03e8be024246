"""A question as it was asked: its class, and what has to be typed to approve it. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from engine.approvals.dangers import Judged, judge
from engine.state import Approval, State
from engine.text.sanitise import sanitise_line

MAX_NAME = 64
"""Longer names are not typed by anybody: the question's own id is typed instead."""


def argv_of(approval: Approval) -> tuple[str, ...]:
    """The command of an operation, as it was asked."""
    found = approval.operation.get("argv")
    return tuple(str(part) for part in cast("list[Any]", found)) if isinstance(found, list | tuple) else ()


def env_of(approval: Approval) -> dict[str, str]:
    """The environment that an operation is given beside the ordinary one."""
    found = approval.operation.get("env")
    pairs = cast("dict[Any, Any]", found) if isinstance(found, dict) else {}
    return {str(name): str(value) for name, value in pairs.items()}


def is_claimed(approval: Approval) -> bool:
    """Whether an agent asks, with its own word for the danger; else the engine does."""
    return "danger" in approval.operation


def judged_of(approval: Approval) -> Judged:
    """The class of a question. One with anything odd in its words is of the highest."""
    cwd = str(approval.operation.get("cwd", "."))
    claimed = is_claimed(approval)
    judged = judge(approval.danger, argv_of(approval), claimed=claimed, cwd=cwd, env=env_of(approval))
    warnings = tuple(dict.fromkeys([*judged.warnings, *(sanitise_line(one) for one in approval.warnings)]))
    return replace(judged, highest=judged.highest or bool(warnings), warnings=warnings)


def word_of(approval: Approval, state: State) -> str:
    """The name that is typed to approve what is of the highest class: the work order's, or the branch's."""
    name = sanitise_line(approval.order or state.branch)
    return name if 0 < len(name) <= MAX_NAME and name == name.strip() else approval.id


def typed_word(approval: Approval, state: State) -> str:
    """What has to be typed to approve this question; "" where nothing has to be."""
    return word_of(approval, state) if judged_of(approval).highest else ""
