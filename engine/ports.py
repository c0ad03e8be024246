"""The engine's ports: what it needs from the world, as small Protocols. The composition root wires them.

Everything here is data and shape. `engine.executors`, `engine.sandbox` and the wings implement it; tests wire others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

from engine.models.flow import Flow
from engine.models.handoffs import Handoff
from engine.models.proof import ProvedCommand
from engine.models.report import GuardResult, VerificationReport
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, Budget, Coverage, Gate, Guards, RoleName
from engine.models.task import GrantedOperation, Operation, Task
from engine.models.usage import Usage
from engine.models.verdict import Verdict


class Clock(Protocol):
    """Wall time is UTC seconds since the epoch, for people; monotonic time is for durations."""

    def now(self) -> float: ...
    def monotonic(self) -> float: ...


class HeadSigner(Protocol):
    """Signs the journal's head with the engine's own key. Thread-safe; both calls may block for milliseconds."""

    def sign(self, head: bytes) -> bytes:
        """The signature of a head. Raises SwarmError when nothing can be signed now."""
        ...

    def verify(self, head: bytes, signature: bytes) -> bool:
        """Whether this key signed exactly these bytes. Raises SwarmError for a key that cannot be used."""
        ...

    def close(self) -> None:
        """Give back what it holds. Nothing is signed after that."""
        ...


# ---- sandbox -------------------------------------------------------------------------------------------------------

GUARANTEES = ("fs_write", "fs_read", "git_meta", "net", "pid_tree", "limits", "unix_sock")


@dataclass(frozen=True)
class Overlay:
    """A folder `at` which shows `lower` and takes changes into `upper` (with `work` beside it, on the same disk), so
    that `lower` stays as it is. All three are the engine's; `at` may be `lower` itself."""

    lower: Path
    upper: Path
    work: Path
    at: Path


@dataclass(frozen=True)
class SandboxPolicy:
    """What one process may see and change. Paths are absolute. Everything else is denied by a backend that can.

    masked: files below a writable or readable folder that look empty inside and cannot be written. hosts: what may be
    reached, as `host` or `host:port`, through the engine's proxy; empty: no network at all. ports: where that proxy
    listens on the loopback interface, for a backend whose `net_by_port` is true. listen: ports that the process may
    listen on, for a backend that shows the machine's own loopback interface. overlays: for a backend whose `overlays`
    is true.
    """

    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    masked: tuple[Path, ...] = ()
    hosts: tuple[str, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    ports: tuple[int, ...] = ()
    listen: tuple[int, ...] = ()


@dataclass(frozen=True)
class Quota:
    """What one process tree may use, in bytes and counts; 0: no limit. Beyond it the tree is killed.

    memory: resident, of the whole tree. processes: threads count too where the machine counts them. disk, files: what
    is written into the policy's writable folders and stays there. file_size: one file. log_rate: bytes of output a
    second, over ten seconds.
    """

    memory: int = 0
    processes: int = 0
    disk: int = 0
    files: int = 0
    file_size: int = 0
    log_rate: int = 0


class Sandbox(Protocol):
    """A backend, which inherits what it does not say otherwise. `guarantees` were probed with live escapes, not read
    off a list.

    reason: why it is not a stronger one, for people. weak: sentences about what it cannot do. extras: what it holds
    beyond the guarantees. broken: the escapes that got through. overlays: it can mount those of a policy. own_network:
    a network with nothing in it but a loopback interface, so that a policy's hosts are reached by the engine's proxy.
    net_by_port: a policy's `ports` say where it may connect to. filter: a file with the system-call filter, which
    whoever starts the argv hands over by a descriptor.
    """

    name: str
    guarantees: Mapping[str, bool]
    reason: str = ""
    weak: tuple[str, ...] = ()
    extras: Mapping[str, bool] = MappingProxyType({})
    broken: tuple[str, ...] = ()
    overlays: bool = False
    own_network: bool = False
    net_by_port: bool = False
    filter: Path | None = None

    def wrap(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy) -> tuple[str, ...]:
        """The argv that runs `argv` in `cwd` with exactly `env` under `policy`."""
        ...


# ---- executor ------------------------------------------------------------------------------------------------------

End = Literal["exited", "wall_timeout", "idle_timeout", "quota", "cancelled", "lost", "not_started"]
QuotaName = Literal["memory", "processes", "disk", "files", "file_size", "log_rate"]


@dataclass(frozen=True)
class ProcessSpec:
    """One process to run. `env` is complete: nothing is inherited. `folder` gets `log`, `spec.json`, `result.json`.

    leash: True = dies with the engine (agents); False = may outlive it until its deadline, and is adopted (gates).
    secrets: name -> value, hidden in the log beside what the executor hides anyway.
    nice: 0 normal, 10 for speculative work. log_cap: bytes of output kept; the rest is counted and dropped.
    """

    run_id: str
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    folder: Path
    wall_s: float
    idle_s: float | None = None
    leash: bool = True
    nice: int = 0
    log_cap: int = 64_000_000
    policy: SandboxPolicy = field(default_factory=SandboxPolicy)
    quota: Quota = field(default_factory=Quota)
    secrets: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True)
class ProcessResult:
    """How it ended. `exit_code` is None unless `end` is exited. `log` is the path of the captured output (bytes).

    quota: which one was used up (end quota). refused: `host:port` that it wanted to reach and was not let, each once.
    """

    run_id: str
    end: End
    exit_code: int | None
    duration_s: float
    log: Path
    note: str = ""
    quota: QuotaName | Literal[""] = ""
    refused: tuple[str, ...] = ()


class Channel(Protocol):
    """The other ends of a process's stdin and stdout. Nothing is read ahead without bound: who is not read, waits."""

    async def read(self) -> bytes:
        """What it wrote next; b"" when there will be no more."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it these bytes. What it can no longer read is dropped."""
        ...


Talk = Callable[[Channel], Awaitable[None]]


class Executor(Protocol):
    @property
    def guarantees(self) -> Mapping[str, bool]:
        """Of the sandbox in which everything runs."""
        ...

    async def run(self, spec: ProcessSpec) -> ProcessResult:
        """Run it and wait. If `spec.folder` already has a result, return it; if its process still lives, adopt it.
        Cancelling the awaiting task kills the whole process tree before this returns."""
        ...

    async def interact(self, spec: ProcessSpec, talk: Talk) -> ProcessResult:
        """Like `run`, with `talk` at the other ends of its stdin and stdout for as long as both last. `spec.leash` must
        be true: nobody else could go on with the conversation."""
        ...

    async def sweep(self, marker: str, keep: Collection[Path] = ()) -> int:
        """Kill every process of earlier epochs that carries the marker `SWARM_RUN` with this prefix; how many
        there were. keep: folders of runs that are left alone, because they will be adopted."""
        ...

    async def close(self) -> None:
        """No more runs are to come soon: let go of what waits for one. Runs that go on are left alone."""
        ...


# ---- agents --------------------------------------------------------------------------------------------------------

AgentEnd = Literal["done", "failed", "timeout", "idle", "quota", "asked", "cancelled", "lost", "limit", "stuck"]


@dataclass(frozen=True)
class AgentRun:
    """One attempt. `side` is a folder outside the workspace that the agent may write: its handoff and its requests."""

    run_id: str
    agent: str
    settings: AgentSettings
    task: Task
    workspace: Path
    side: Path
    folder: Path
    readable: tuple[Path, ...]
    wall_s: float
    idle_s: float
    hosts: tuple[str, ...] = ()
    """What a person granted this order beyond the agent's own settings, as `host` or `host:port`."""
    quota: Quota = field(default_factory=Quota)
    most: Budget = field(default_factory=Budget)
    """What it may use; an adapter that can keeps to it."""
    without: Literal["run", "ask", "refuse"] = "run"
    """`sandbox.without` of the settings: what becomes of a command that an agent asks for where no sandbox holds it."""


@dataclass(frozen=True)
class AgentResult:
    """How it ended. `handoff` is the raw bytes it left (None: none). `asked` is the operation it waits for (end
    asked). `quota`, `refused` as in `ProcessResult`. End limit: its provider lets it do no more, `resets_at` says until
    when (seconds since the epoch; None: nobody said). `usage` is what it used; `tokens` and `cost` are 0 where that
    does not say."""

    end: AgentEnd
    exit_code: int | None
    duration_s: float
    handoff: bytes | None = None
    asked: Operation | None = None
    tokens: int = 0
    cost: float = 0.0
    note: str = ""
    quota: QuotaName | Literal[""] = ""
    refused: tuple[str, ...] = ()
    resets_at: float | None = None
    usage: Usage = field(default_factory=Usage)
    turns: int | None = None
    """Calls of a model; None: nobody said."""


class Agent(Protocol):
    async def perform(self, run: AgentRun) -> AgentResult:
        """Do the task in the workspace. Cancelling ends the agent's whole process tree."""
        ...


@dataclass(frozen=True)
class TaskRequest:
    """What a role is to be told. feedback: what the last attempt was told, the most important first. contract: the
    Design Contract of the order's item. about: what else the role has to know, by the names of `Task.about`."""

    role: RoleName
    order: WorkOrder
    attempt: int
    feedback: Sequence[str] = ()
    granted: Sequence[GrantedOperation] = ()
    contract: Mapping[str, Any] = field(default_factory=dict[str, Any])
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Roles(Protocol):
    """The roles' own part: what their agents are told, and what their handoffs say."""

    def task(self, request: TaskRequest) -> Task:
        """Raises UserError when the user's own prompt cannot be rendered."""
        ...

    def handoff(self, role: RoleName, raw: bytes | None, changed_paths: Sequence[str]) -> Handoff:
        """Raises HandoffError for an invalid one; without one, an implementer's is made from the changed paths."""
        ...


# ---- gates ---------------------------------------------------------------------------------------------------------

Emit = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Append one event (kind, fields) to the journal; returns when it is durable."""


@dataclass(frozen=True)
class GuardRequest:
    """A change's own tree against the base it started from.

    scripts: paths of what the order's acceptance and repro commands run; they are protected for this order. accepted:
    path -> digest of files that a person accepted to the byte. named: the globs of `allow` that a person wrote or took
    on, None: all of them. A file that one of these names in full may change although it is protected.
    """

    tree: str
    base_tree: str
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    guards: Guards
    work_order: str
    scripts: tuple[str, ...] = ()
    accepted: Mapping[str, str] = field(default_factory=dict[str, str])
    named: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Member:
    """One of several changes that are tried together. without: tree of all the others on the base. before, named: as
    in `GateRequest`."""

    change: str
    order: WorkOrder | None
    without: str
    before: str = ""
    named: tuple[str, ...] | None = None


@dataclass(frozen=True)
class GateRequest:
    """Run `gates` on `tree`, which is main (`base_tree`) with the change merged. All ids are full git object ids.

    key: stable name of this run; running it again with the same key continues it.
    base_report: digest of the report of `base_tree`, from which the inventory of passing tests is taken ("" = none).
    kind: land | gates. tests_gone: test ids (or prefixes) that the work order may remove or change.
    order: whose change it is; None: nothing is proved beyond the gates and what became of the base's tests.
    before: tree of the version that has the fault, where it is not `base_tree`: a regression's, which was taken back.
    named: as in `GuardRequest`, of `order`.
    members: all changes of a group, each of which has to be proved; `change`, `work_order` and `order` are the last's.
    flaky: test ids with a recorded history of flaking on main: only these are tried a second time.
    quarantined: those of them whose failures do not count, unless the change adds or touches them.
    control: the tree of main, on which failed tests are run once more ("" = they are not).
    flows: what gates with `flow` may name. keep_going: False ends the run at the first gate that is not green.
    guards: what the guards said of the change before; they go into the report. coverage: the guard that speaks after
    the gates, on the report that its gate leaves. flags: what the report has to admit beyond what is found.
    fresh: every gate runs, whatever is known from earlier.
    """

    key: str
    tree: str
    base_tree: str
    base_commit: str
    repository: str
    gates: tuple[Gate, ...]
    policy: str
    base_report: str = ""
    kind: Literal["land", "gates"] = "land"
    change: str = ""
    work_order: str = ""
    tests_gone: tuple[str, ...] = ()
    guards: tuple[GuardResult, ...] = ()
    flags: tuple[str, ...] = ()
    nice: int = 0
    order: WorkOrder | None = None
    before: str = ""
    named: tuple[str, ...] | None = None
    members: tuple[Member, ...] = ()
    flaky: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    control: str = ""
    flows: tuple[Flow, ...] = ()
    coverage: Coverage | None = None
    keep_going: bool = True
    fresh: bool = False


@dataclass(frozen=True)
class AcceptanceRequest:
    """Before the first run of an order: is what it asks for red on main (`tree`, a full tree id)?

    base_report: digest of the report of `tree` ("" = none), for tests that the order names.
    """

    key: str
    order: WorkOrder
    tree: str
    base_report: str = ""


@dataclass(frozen=True)
class Acceptance:
    """`ok`: something that the order names is red on main for the right reason, or it names nothing. `reason` is one
    sentence when not. `tests`: what the base's report says of each test the order names ("missing": nothing)."""

    ok: bool
    reason: str = ""
    commands: tuple[ProvedCommand, ...] = ()
    tests: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class SignedReport:
    """`digest` is `sha256:<hex>` of the DSSE envelope's bytes in the artifact store."""

    digest: str
    report: VerificationReport


class GateRunner(Protocol):
    async def guard(self, request: GuardRequest) -> tuple[GuardResult, ...]:
        """Every guard's word on the change, from tree objects alone."""
        ...

    async def run(self, request: GateRequest, emit: Emit) -> SignedReport:
        """Run the gates and sign what was seen, green or red. Raises InfrastructureFault when nothing can be said."""
        ...

    async def accept(self, request: AcceptanceRequest) -> Acceptance:
        """Run the order's acceptance and repro on main. Raises InfrastructureFault when nothing can be said."""
        ...

    async def landed(self, tree: str) -> None:
        """This tree is main now: what its gates built may be kept as a warm cache. Never raises."""
        ...

    async def tidy(self, keep: Collection[Path]) -> None:
        """Clear what runs of earlier engines have left, and what is old. keep: folders of requests whose runs will be
        gone on with. Called before any gate runs. Never raises."""
        ...

    async def close(self) -> None:
        """The engine ends: give back what is held."""
        ...

    def unfit(self, report: VerificationReport) -> str:
        """Why a report does not hold on this machine any more: its gates would run with other tools or in another
        sandbox now. "" when it holds. Blocking."""
        ...

    async def restore(self, tree: str, previous: str, base_tree: str, base_commit: str, policy: str) -> SignedReport:
        """A fresh `restore` report for a tree whose `previous` report is green."""
        ...

    def load(self, digest: str) -> VerificationReport:
        """The report of an envelope in the artifact store, its signature verified with our own key. Raises
        SwarmError."""
        ...


# ---- canary --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CanaryRequest:
    key: str
    commit: str
    tree: str
    flows: tuple[Flow, ...]


@dataclass(frozen=True)
class GoldenProposal:
    """What a run showed where a golden says something else, or nothing: what a person may accept instead.

    name: of its artifact, `golden` or `shot:<name>`. path: of the golden it was held against, or where one is missing;
    keyed: the same for this system and renderer alone. digest, was, difference: artifacts; was: "" for a new one.
    """

    name: str
    path: str
    keyed: str
    digest: str
    was: str = ""
    difference: str = ""


@dataclass(frozen=True)
class FlowOutcome:
    """`samples` name -> values in order. `artifacts` name -> digest (trace, log). `reason` is one sentence.

    proposed: goldens that a person may accept, where they are all that is wrong.
    """

    flow: str
    verdict: Verdict
    reason: str
    duration_s: float
    samples: Mapping[str, list[float]] = field(default_factory=dict[str, list[float]])
    artifacts: Mapping[str, str] = field(default_factory=dict[str, str])
    proposed: tuple[GoldenProposal, ...] = ()


@dataclass(frozen=True)
class CanaryOutcome:
    """The raw outcome of one run of all flows; the confirmation policy is the planner's."""

    verdict: Verdict
    reason: str
    flows: tuple[FlowOutcome, ...]


@dataclass(frozen=True)
class CompareRequest:
    """Hold the samples of `commit` against those of `good_commit`, both run now, in turns. flows: those with samples.
    budgets: of the work orders that landed with it, sample -> "+10%"."""

    key: str
    commit: str
    tree: str
    good_commit: str
    good_tree: str
    flows: tuple[Flow, ...]
    budgets: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class MetricVerdict:
    """What became of one sample. before, after: medians in `unit`; pairs: runs a side; p: two-sided, after correction
    for all samples (1.0 where nothing was tested)."""

    flow: str
    sample: str
    unit: str
    better: str
    before: float
    after: float
    pairs: int
    p: float
    verdict: Literal["same", "worse", "better", "over-budget", "unknown"]
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """verdict: FAIL when a sample is worse or over its budget, or a flow failed on the new commit alone; INCONCLUSIVE
    when none could be held against last good's; ENVIRONMENT when the machine was at fault. failed: those flows."""

    verdict: Verdict
    reason: str
    metrics: tuple[MetricVerdict, ...] = ()
    artifacts: Mapping[str, str] = field(default_factory=dict[str, str])
    failed: tuple[str, ...] = ()


class CanaryRunner(Protocol):
    async def run(self, request: CanaryRequest) -> CanaryOutcome: ...

    async def compare(self, request: CompareRequest) -> Comparison:
        """Both commits' flows, interleaved, judged by their samples. Raises InfrastructureFault."""
        ...


# ---- triage --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Regression:
    """What the triager is given: the reverted change and what the canary saw."""

    work_order: str
    title: str
    commit: str
    flow: str
    reason: str
    allow: tuple[str, ...]
    nth: int
    probability: float
    item: str = ""
    """The roadmap item of the reverted work order, which the bug order joins."""
    suspects: tuple[str, ...] = ()
    """Commits one of which is the culprit, where it could not be told apart; `commit` is then the one that was red."""
    artifacts: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the red run left: name -> digest."""
    slower: bool = False
    """Nothing was put back: its samples are worse than before."""
    crept: bool = False
    """They got so little by little: `commit` is only where that was found."""


class Triager(Protocol):
    def bug_order(self, regression: Regression) -> dict[str, Any]:
        """The bug work order as JSON-ready fields of `WorkOrder`."""
        ...
