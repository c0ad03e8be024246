"""What `swarm status --json` and the summary of a headless run say. It only grows within a major version."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Health = Literal["green", "red", "unknown", "frozen"]


class RunStatus(BaseModel):
    run: str
    work_order: str
    agent: str = ""


class TrainStatus(BaseModel):
    change: str
    work_order: str
    place: int
    waits_for: str
    assumed: list[str] = []
    """Work orders that are taken to land before it in what runs now."""
    beside: list[str] = []
    """Work orders that are tried in the same run."""
    since: str = ""
    why: str = ""


class ApprovalStatus(BaseModel):
    id: str
    danger: str
    title: str
    why: str
    work_order: str
    expires_at: str


class PullRequestStatus(BaseModel):
    """`state`: open, merged or closed. `ci`: pending, green, red, or "" where nothing runs."""

    number: int
    url: str
    title: str
    work_order: str
    branch: str
    commit: str
    state: str
    ci: str = ""


class QuarantineStatus(BaseModel):
    """A test whose failures do not count until `until`, while `work_order` mends it. `flakes` of `runs` on main."""

    test: str
    gate: str
    work_order: str
    owner: str
    until: str
    flakes: int
    runs: int


class OrderStatus(BaseModel):
    id: str
    title: str
    state: str
    attempts: int
    why: str = ""
    do: str = ""


class DenialStatus(BaseModel):
    """One event `guardrail_denied`. `rule`: a guard's name, `quota-…`, `network`, `approval` or `approval-…`."""

    at: str
    rule: str
    work_order: str
    run: str = ""
    reason: str


class SandboxStatus(BaseModel):
    """What agents and gates run in, since the engine started last. `backend`: "" when that is not known."""

    backend: str = ""
    reason: str = ""
    """Why it is not a stronger one."""
    guarantees: dict[str, bool] = {}


class Status(BaseModel):
    """`main` and `last_good` are commit ids. `landed`, `reverted`, `rejected`, `parked` count work orders to
    which that happened. `denied` counts all denials by rule; `denials` are the newest twenty, oldest first."""

    model_config = ConfigDict(extra="ignore")
    main: str
    health: Health
    why: str = ""
    last_good: str
    published: str = ""
    publish_pending: str = ""
    remote_main: str = ""
    """What the remote's main was at when it was last seen, with publish = "remote" or "both"."""
    pull_requests: list[PullRequestStatus] = []
    work_orders: dict[str, int]
    orders: list[OrderStatus] = []
    runs: list[RunStatus] = []
    train: list[TrainStatus] = []
    landed: int
    reverted: int
    rejected: int
    parked: int
    approvals: list[ApprovalStatus] = []
    unproven: list[str] = []
    quarantined: list[QuarantineStatus] = []
    cost: float
    tokens: int
    duration_s: float
    running: bool = False
    paused: bool = False
    read_only: str = ""
    """Why nothing runs and no command is taken: the journal was changed by something else. "" when all is well."""
    problems: list[str] = []
    budgets: dict[str, Any] = {}
    sandbox: SandboxStatus = SandboxStatus()
    denied: dict[str, int] = {}
    denials: list[DenialStatus] = []
    quotas: dict[str, int] = {}
    """What a run or gate may use, in bytes and counts, by the names of `limits`; 0: no limit."""
