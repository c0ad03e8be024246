"""What an agent is told: the content of `SWARM_TASK`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from engine.models.roadmap import WorkOrder


class Operation(BaseModel):
    """A dangerous operation that an agent asked for. Frozen and hashed by the approval broker."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    argv: list[str]
    cwd: str = "."
    why: str = ""
    danger: str = "unknown"


class GrantedOperation(BaseModel):
    """A person's answer to an operation, what became of it, and what he wanted its agent to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    approval: str
    answer: str
    operation: Operation
    exit_code: int | None = None
    why: str = ""


class Task(BaseModel):
    """`SWARM_TASK`: role, work order, contract, scope, gates, last report, prompt."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    schema_version: int = 1
    role: str
    work_order: WorkOrder
    attempt: int
    contract: dict[str, Any] = {}
    scope: dict[str, list[str]] = {}
    gates: list[dict[str, Any]] = []
    last_report: list[str] = []
    granted: list[GrantedOperation] = []
    prompt: str = ""
