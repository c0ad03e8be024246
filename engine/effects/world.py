"""What effects are given: the wired ports, the journal's door, and a read-only look at the state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.git.hub import Hub
from engine.git.workspaces import Workspaces
from engine.log import EngineLog
from engine.models.event import Event, NewEvent
from engine.models.report import VerificationReport
from engine.models.settings import Limits, Settings
from engine.ports import Agent, CanaryRunner, Clock, Executor, GateRunner, Quota, Roles, Sandbox, Triager
from engine.process.programs import Programs
from engine.state import State

KEEP_WORDS = 2_000
"""Characters of an agent's text that are kept in an event."""


class Emit(Protocol):
    async def __call__(self, *drafts: NewEvent) -> list[Event]:
        """Append all in one transaction; returns when they are durable and folded into the state."""
        ...


@dataclass(frozen=True)
class Ports:
    """The wings and backends that the composition root wired."""

    agents: Callable[[str], Agent]
    """Kind of agent -> adapter. Raises UserError for a kind that is not there."""
    roles: Roles
    triager: Triager
    gates: GateRunner
    canary: CanaryRunner
    executor: Executor
    programs: Programs
    sandbox: Sandbox
    verifier: Callable[[VerificationReport], list[str]]
    """The verifier's word on a red report, for the next attempt."""
    clock: Clock

    async def close(self) -> None:
        """Give back what is held: idle shims, the signer."""
        await self.executor.close()
        await self.gates.close()


@dataclass(frozen=True)
class World:
    """Everything an effect may touch. `state` and `settings` are looked up at each call: they move."""

    ports: Ports
    hub: Hub
    workspaces: Workspaces
    artifacts: ArtifactStore
    folders: StateFolder
    repo: Path
    log: EngineLog
    emit: Emit
    state: Callable[[], State]
    settings: Callable[[], Settings]
    epoch: Callable[[], int]
    on_main_moved: Callable[[], None]
    """Tells the engine that definitions on main may have changed."""
    noting: threading.Lock = field(default_factory=threading.Lock)
    """Notes are one ref: what lands and what is published attach them one after the other."""


def quota(limits: Limits) -> Quota:
    """What one run may use, as the settings say."""
    return Quota(limits.memory, limits.processes, limits.disk, limits.files, limits.file_size)


def trailers(pairs: Sequence[tuple[str, str]]) -> str:
    """A trailer block of a commit message."""
    return "\n".join(f"{name}: {value}" for name, value in pairs)
