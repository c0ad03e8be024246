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


class GoldenStatus(BaseModel):
    """What a canary run showed where a golden says something else, or nothing (`new`), and a person has to look at.
    `digest` of the artifact with what it showed, `difference` of the one that says how it differs."""

    id: str
    path: str
    flow: str
    commit: str
    work_order: str
    since: str
    digest: str
    difference: str
    new: bool
    said: str = ""
    """The run's own word on it. `why`: why it did not land, if it was accepted once."""
    why: str = ""


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
    work_orders: list[str] = []
    """Those whose newest landing it has; of several that have it only one names it."""


class QuarantineStatus(BaseModel):
    """A test whose failures do not count until `until`, while `work_order` mends it. `flakes` of `runs` on main."""

    test: str
    gate: str
    work_order: str
    owner: str
    until: str
    flakes: int
    runs: int


class FlowRunStatus(BaseModel):
    """`at`: UTC, when it ended. `purpose`: first, rerun, control or culprit."""

    commit: str
    purpose: str
    verdict: str
    at: str
    duration_s: float


class FlowStatus(BaseModel):
    """One canary flow, or gate after landing (`gate:<name>`). It was red `reds` times in `runs` runs on commits that
    were judged PASS; `flake_rate` is what is believed of it after that. `newest`: its last runs, oldest first."""

    flow: str
    runs: int
    reds: int
    flake_rate: float
    newest: list[FlowRunStatus] = []
    trends: dict[str, list[float]] = {}
    """Sample -> its median for each commit that became last good, oldest first, since it was last found worse."""


class CanaryStatus(BaseModel):
    """How main is kept green. `searching`: the red commit whose culprit is searched; `waiting`: landings that are not
    judged yet. `frozen_s`: seconds in all, `freezes` times; `restores`: how often main was put back."""

    last_good: str = ""
    waiting: int = 0
    flows: list[FlowStatus] = []
    frozen: bool = False
    frozen_s: float = 0.0
    freezes: int = 0
    restores: int = 0
    searching: str = ""


class ProviderStatus(BaseModel):
    """One that was at its limit. `until`: UTC, "" where a person has to say when; `runs`: those under way."""

    provider: str
    until: str = ""
    why: str
    runs: int = 0


class OrderStatus(BaseModel):
    """`pull_request`: number of the one that has its newest landing; None: no landing, or not proposed."""

    id: str
    title: str
    state: str
    attempts: int
    why: str = ""
    do: str = ""
    pull_request: int | None = None


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
    goldens_pending: list[GoldenStatus] = []
    canary: CanaryStatus = CanaryStatus()
    unproven: list[str] = []
    quarantined: list[QuarantineStatus] = []
    cost: float
    tokens: int
    runs_ended: int = 0
    """`cost` and `tokens` are of these, less `runs_without_cost` and `runs_without_tokens`, of which nobody said it."""
    runs_without_cost: int = 0
    runs_without_tokens: int = 0
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
    providers: list[ProviderStatus] = []
    """Those that are paused."""
    quotas: dict[str, int] = {}
    """What a run or gate may use, in bytes and counts, by the names of `limits`; 0: no limit."""
