"""What an agent is told: the content of `SWARM_TASK`."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine.models.roadmap import WorkOrder

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class Operation(BaseModel):
    """A dangerous operation that an agent asked for. Frozen and hashed by the approval broker.

    `env`: variables beside the ordinary ones, exactly as given: nothing in them is looked up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    argv: list[str] = Field(max_length=1_000)
    cwd: str = "."
    env: dict[str, str] = Field(default={}, max_length=50)
    why: str = ""
    danger: str = "unknown"

    @field_validator("env")
    @classmethod
    def _names(cls, env: dict[str, str]) -> dict[str, str]:
        if wrong := [name for name in env if not _ENV_NAME.fullmatch(name)]:
            raise ValueError(f"{ascii(wrong[0])[:60]} cannot be the name of a variable")
        if any("\0" in value for value in env.values()):
            raise ValueError("a variable has a NUL in its value, which no program can be given")
        return env


class GrantedOperation(BaseModel):
    """A person's answer to an operation, what became of it, and what he wanted its agent to know.

    `answer`: approved, denied, or refused (approved, but not carried out by the engine, as `did` says). `did`: what it
    changed in the workspace, in words, or why it was not run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    approval: str
    answer: str
    operation: Operation
    exit_code: int | None = None
    why: str = ""
    did: str = ""


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
    about: dict[str, Any] = {}
    """Beside that, by role: `orders` and `items` as they stand, the `oracle`, the `adr` folder."""
    prompt: str = ""
