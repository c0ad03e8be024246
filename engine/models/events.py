"""The fields of each kind of event, beside `seq`, `at`, `kind`, `work_order` and `run`, which all have.

Kinds only gain fields within a major version. Ids of commits and trees are full git object ids; digests are
`sha256:<hex>`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class EventFields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Empty(EventFields):
    """Says everything by its kind."""


class EngineStarted(EventFields):
    """`heads`: from here on the journal has a signed head. sandbox: its `backend`, the `reason` why it is not a
    stronger one, and its probed `guarantees` by name."""

    epoch: int
    version: str
    pid: int
    heads: bool = False
    sandbox: dict[str, Any] = {}


class Reason(EventFields):
    reason: str


class Refused(EventFields):
    """A file people write that was not taken; the last valid version stays in force."""

    reason: str
    file: str


class RepositoryOpened(EventFields):
    commit: str
    tree: str
    repository: str
    branch: str


class RoadmapRead(EventFields):
    """`orders`: those that are new or changed; `gone`: ids that are on the roadmap no longer; `count`: all of them.
    `items`: all items; `more`: a further piece of a long roadmap, which tells nothing of them. `limitations`: ids;
    None: not told here."""

    count: int
    orders: list[dict[str, Any]]
    gone: list[str]
    items: list[dict[str, Any]]
    more: bool = False
    limitations: list[str] | None = None


class SettingsRead(EventFields):
    policy: str
    settings: str
    bootstrap: bool
    implementer: str = ""
    flows: int = 0
    cost_per_night: float = 0.0
    tokens_per_work_order: int = 0
    quota: dict[str, int] = {}
    budgets: dict[str, float] = {}
    providers: dict[str, list[str]] = {}


class WorkOrderReady(EventFields):
    fresh: bool = False
    by: str = ""
    resume: dict[str, Any] | None = None
    feedback: list[str] = []


class WorkOrderAdded(EventFields):
    """`proposed`: the order whose handoff proposes it, so that it waits until it is accepted. `tests_for`: the order
    that its tests are written for, and join."""

    order: dict[str, Any]
    because: str
    regression: str = ""
    proposed: str = ""
    tests_for: str = ""


class WorkOrderDone(EventFields):
    """It is over without a change of its own. Of a verifier: `head` is the commit with its tests, at `paths`, made on
    `base`; `later`: what it wants added once the change has landed."""

    summary: str
    head: str = ""
    base: str = ""
    paths: list[str] = []
    later: list[str] = []


class WorkOrderParked(EventFields):
    """`why`, and in `do` what a person can do."""

    why: str
    do: str
    approval: str = ""


class WorkOrderHealthy(EventFields):
    commit: str
    uncanaried: bool = False


class By(EventFields):
    by: str


class RunStarted(EventFields):
    """`held`: what is kept free for it of the budgets (tokens, cost, turns, wall in seconds), until it ends. `goes_on`:
    the commit of the run before it that it goes on with; `given`: that it does, or why not, as one clause."""

    attempt: int
    role: str
    agent: str
    base: str
    provider: str = ""
    held: dict[str, float] = {}
    goes_on: str = ""
    given: str = ""


class RunFinished(EventFields):
    """`kept` is the commit under refs/swarm/keep/ that holds what the run left. `counted`: it used up an attempt."""

    result: Literal["done", "failed", "timeout", "idle", "quota", "limit", "asked", "aborted", "interrupted"]
    counted: bool
    reason: str
    kept: str
    exit_code: int | None
    duration_s: float


class RunInterrupted(EventFields):
    why: str


class BudgetSpent(EventFields):
    """What a run is charged, once. tokens, cost: 0 where nobody said it (then they are not `known`). turns: calls of a
    model, None: not told. source, scope: as in `engine.models.usage.Usage`. claimed: what it said, where that cannot be
    believed; it is charged what was held for it then."""

    tokens: int
    cost: float
    agent: str
    role: str
    tokens_known: bool = True
    cost_known: bool = True
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None
    turns: int | None = None
    source: str = ""
    scope: str = ""
    claimed: dict[str, float] = {}


class HandoffReceived(EventFields):
    """`digest`: the artifact. `forbidden`: of a Design Contract, its boundaries as in the settings."""

    role: str
    digest: str
    summary: str
    forbidden: list[dict[str, str]] = []


class ChangeProposed(EventFields):
    """`asks`: danger classes that the agent wants a person to be asked about where a guard denies them."""

    change: str
    base: str
    head: str
    tree: str
    paths: list[str]
    summary: str
    agent: str
    risk: str = ""
    rollback: str = ""
    person: bool = False
    commits: list[str] = []
    skipped: list[str] = []
    asks: list[str] = []


class TestsJoined(EventFields):
    """The tests of the work order `tests` (its commit `joined`) are part of the change now, which is `head`. `base`:
    the commit of main it starts from with them ("": from the same as before)."""

    __test__ = False
    change: str
    tests: str
    joined: str
    base: str = ""
    head: str
    tree: str
    paths: list[str]


class AcceptanceChecked(EventFields):
    """Whether what the order names as its proof is red on main's `tree`. `goal`: the digest of what it names.
    `commands` as `ProvedCommand`, `tests` test id -> its state there."""

    tree: str
    goal: str
    ok: bool
    reason: str
    commands: list[dict[str, Any]] = []
    tests: dict[str, str] = {}


class ChangeNamed(EventFields):
    change: str


class ChangeQueued(EventFields):
    """`lines`: how many it adds and deletes; 0 where nobody asks."""

    change: str
    guards: list[dict[str, Any]]
    lines: int = 0


class ChangeRejected(EventFields):
    """`reasons`: one sentence each. `report`: the red report, if gates said so. `kept`: what the run left."""

    change: str
    reasons: list[str]
    report: str = ""
    kept: str = ""
    feedback: list[str] = []


class TrialStarted(EventFields):
    """The gates begin on main with `assumed` merged first and `test` on top (ids of changes). `base`, `tree`: what
    they are compared with, and what they run on. `main`: the commit that main was then ("": not told)."""

    trial: str
    test: list[str]
    assumed: list[str]
    base: str
    tree: str
    main: str = ""


class TrialEnded(EventFields):
    """A trial that has no report. superseded: nobody wants to know any more. conflict: the changes do not merge."""

    trial: str
    why: Literal["superseded", "conflict"]
    reason: str = ""


class ChangeReopened(EventFields):
    """A person allows what guards denied: the change is looked at again. `waivers`: hash of a guard's word -> the
    approval that allows it."""

    change: str
    approval: str
    waivers: dict[str, str]


class GateStarted(EventFields):
    gate: str
    tree: str
    change: str


class GateFinished(EventFields):
    gate: str
    tree: str
    change: str
    result: str
    reason: str
    executed: int
    passed: int
    failed: int
    skipped: int
    duration_s: float
    cached: bool
    lost: int = 0


class ReportSigned(EventFields):
    report_kind: str
    result: str
    report: str
    tree: str
    base: str
    base_commit: str
    policy: str
    change: str
    reasons: list[str]
    feedback: list[str] = []
    flags: list[str] = []
    fail_to_pass: int = 0
    proved: dict[str, int] = {}
    """Work order -> tests that failed before its change and pass with it."""
    trial: str = ""
    ran: list[str] = []
    """Gates that ran for this report: their tests were seen anew. The next four: gate -> ids of tests."""
    failing: dict[str, list[str]] = {}
    flaked: dict[str, list[str]] = {}
    retried: dict[str, list[str]] = {}
    quarantined: dict[str, list[str]] = {}
    excused: bool = False
    """It is red, and all that is wrong are tests that flake on main: it is not held against the change."""


class Intent(EventFields):
    """Written before main moves. `outcome` is the event that follows when it has."""

    effect: Literal["land", "restore", "adopt"]
    effect_id: str
    old: str
    new: str
    outcome: dict[str, Any]
    more: list[dict[str, Any]] = []
    """Of changes that land together: the outcomes of the others, in order."""


class IntentAbandoned(EventFields):
    effect_id: str
    reason: str


class ChangeLanded(EventFields):
    change: str
    commit: str
    tree: str
    report: str
    parent: str
    effect_id: str


class CommitsAdopted(EventFields):
    commit: str
    tree: str
    old: str
    commits: list[str]
    effect_id: str
    source: str = "local"


class Commit(EventFields):
    commit: str


class Published(EventFields):
    commit: str
    to: str


class PublishPending(EventFields):
    """`to`: local or remote. `wait_s`: how long the other side asked to be left alone."""

    commit: str
    reason: str
    to: str = "local"
    wait_s: float = 0.0


class RemoteMainSeen(EventFields):
    """The remote's main has commits of a person. `adopt`: the commit by which they are taken in; the same one, or a
    merge of it with the landing whose tree it has (a pull request that was squashed)."""

    commit: str
    adopt: str


class RemoteChecked(EventFields):
    """All is said about `commit` of hub's main; the remote's main is at `main`."""

    commit: str
    main: str


class PullRequestOpened(EventFields):
    """`branch` names it once and for all; it is at `commit` of hub's main."""

    branch: str
    commit: str
    number: int
    url: str
    title: str


class PullRequestUpdated(EventFields):
    """`status`: open, merged or closed. `ci`: pending, green, red, or "" where nothing runs."""

    branch: str
    number: int
    status: str
    ci: str


class CanaryStarted(EventFields):
    commit: str
    about: str
    purpose: str


class CanaryFinished(EventFields):
    """One canary run. `about`: the commit that is judged; `purpose`: first, rerun, control, culprit or compare.

    metrics: of a comparison, each sample's fields as in `engine.ports.MetricVerdict`; `against`: the good commit.
    """

    commit: str
    about: str
    purpose: str
    verdict: str
    reason: str
    flow: str
    flows: list[dict[str, Any]] = []
    metrics: list[dict[str, Any]] = []
    against: str = ""


class CanaryJudged(EventFields):
    commit: str
    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE", "ENVIRONMENT"]
    reason: str
    flaky: bool
    flow: str


class SampleCrept(EventFields):
    """A sample got worse over many landings, each of them too little to be blamed: `before` until about `since`, the
    first good commit of the new level, and `after` up to `commit`, which is last good."""

    flow: str
    sample: str
    commit: str
    since: str
    before: float
    after: float
    p: float
    reason: str


class GoldenAccepted(EventFields):
    """A person takes what a run showed for right: a file at `path` with the content of the artifact `digest`."""

    golden: str
    path: str
    digest: str
    by: str


class GoldenRejected(EventFields):
    """A person says that the program is wrong, and not the golden."""

    golden: str
    path: str
    digest: str
    by: str
    why: str = ""


class GoldenProposed(EventFields):
    """The change that brings an accepted golden to main: a change of its own, or (`of`) one that was taken back because
    of it, together with the golden and those in `also`."""

    golden: str
    change: str
    base: str
    head: str
    tree: str
    paths: list[str]
    of: str = ""
    also: list[str] = []


class GoldenSettled(EventFields):
    """Main has it already, since `commit` or before."""

    golden: str
    commit: str


class LandingFrozen(EventFields):
    """`why` confirm: the canary was red once, and is being asked again."""

    reason: str
    why: Literal["canary", "gates", "restore", "confirm"]


class LandingThawed(EventFields):
    """`commit`: the red one that a person lets stay, if that is why."""

    reason: str
    commit: str = ""


class MainRestored(EventFields):
    """`to`: last good, whose tree main has again; `from` is what main was; `red` the commit with the red canary."""

    model_config = ConfigDict(extra="allow", frozen=True)
    commit: str
    tree: str
    to: str
    red: str
    report: str
    effect_id: str


class CulpritFound(EventFields):
    commit: str
    change: str
    range: list[str]
    probability: float


class CulpritUnresolved(EventFields):
    """`range`: where the culprit is, with this probability; empty: nobody is blamed."""

    commit: str
    reason: str
    range: list[str] = []
    probability: float = 0.0


class ChangeReverted(EventFields):
    change: str
    commit: str
    evidence: list[str]


class CommitReason(EventFields):
    commit: str
    reason: str


class Commits(EventFields):
    commits: list[str]


class TestQuarantined(EventFields):
    """Until `until` (UTC seconds) the test's failures do not count. The work order that mends it is the event's;
    `owner`: who has to see to it. `flakes` of `runs` on main."""

    __test__ = False
    test: str
    gate: str
    owner: str
    until: float
    flakes: int
    runs: int


class QuarantineLifted(EventFields):
    """The test counts again. fixed: its work order landed. expired: nobody mended it in time."""

    test: str
    why: Literal["fixed", "expired"]


class ApprovalAsked(EventFields):
    """One exact operation. `hash` binds the answer to it; `expires_at` in UTC seconds.

    `facts`: what a person judges by, one clean line each. `warnings`: what is odd about its words. `reads`: path -> the
    object id of what the argv names in the tree.
    """

    approval: str
    danger: str
    title: str
    why: str
    operation: dict[str, Any]
    hash: str
    expires_at: float
    subject: str = ""
    tree: str = ""
    base: str = ""
    facts: list[str] = []
    warnings: list[str] = []
    reads: dict[str, str] = {}


class ApprovalJoined(EventFields):
    """Another work order asks exactly what is asked already: the one answer applies to each."""

    approval: str


class OperationStarted(EventFields):
    """An approved operation is being carried out, once: written before it begins, and its approval is used up."""

    approval: str
    hash: str


class OperationFinished(EventFields):
    """What an approved operation did. `tree`, `kept`: what it left ("" where that could not be read). `added`,
    `changed`, `deleted`: files of the workspace; `paths`: the first of them, `+`, `~` or `-` before each."""

    approval: str
    end: str
    exit_code: int | None
    duration_s: float
    tree: str = ""
    kept: str = ""
    added: int = 0
    changed: int = 0
    deleted: int = 0
    paths: list[str] = []
    note: str = ""


class ApprovalAnswered(EventFields):
    approval: str
    answer: Literal["approved", "denied", "expired"]
    by: str
    why: str = ""
    hash: str = ""


class GuardrailDenied(EventFields):
    """Something was not let. `rule`: which guard, quota or rule; `reason`: one sentence. `ask`: the danger class under
    which a person may allow it, "" where nobody may; `facts`: what he is told. `hosts`: rule network."""

    rule: str
    reason: str
    paths: list[str] = []
    change: str = ""
    ask: str = ""
    facts: list[str] = []
    hosts: list[str] = []


class EffectFailed(EventFields):
    effect: str
    error: str
    traceback: str


class TransitionRefused(EventFields):
    refused_seq: int
    reason: str


class DiskChecked(EventFields):
    low: bool
    free_bytes: int


class Suspended(EventFields):
    gap_s: float


class ProviderPaused(EventFields):
    """The agent's provider lets it do no more. `until`: UTC seconds. `asks`: and until a person resumes it."""

    agent: str
    until: float
    reason: str
    provider: str = ""
    asks: bool = False


class ProviderResumed(EventFields):
    """Its reset time has come."""

    provider: str


class BudgetUsedUp(EventFields):
    """`said`: which budgets of the night and its roles let nothing start that could, a sentence each with what to do;
    empty: they have room again."""

    said: list[str]


class MemoryChecked(EventFields):
    """`room`: how many more runs the machine has memory for; None: as many as may run."""

    room: int | None
    available_bytes: int


EVENTS: dict[str, type[EventFields]] = {
    "engine_started": EngineStarted,
    "engine_stopped": Reason,
    "engine_paused": Empty,
    "engine_resumed": Empty,
    "engine_draining": Empty,
    "repository_opened": RepositoryOpened,
    "roadmap_read": RoadmapRead,
    "roadmap_refused": Refused,
    "settings_read": SettingsRead,
    "settings_refused": Refused,
    "work_order_ready": WorkOrderReady,
    "work_order_added": WorkOrderAdded,
    "work_order_parked": WorkOrderParked,
    "work_order_healthy": WorkOrderHealthy,
    "work_order_done": WorkOrderDone,
    "work_order_cancelled": By,
    "run_started": RunStarted,
    "run_finished": RunFinished,
    "run_interrupted": RunInterrupted,
    "budget_spent": BudgetSpent,
    "handoff_received": HandoffReceived,
    "acceptance_checked": AcceptanceChecked,
    "change_proposed": ChangeProposed,
    "tests_joined": TestsJoined,
    "change_verifying": ChangeNamed,
    "change_queued": ChangeQueued,
    "change_rejected": ChangeRejected,
    "trial_started": TrialStarted,
    "trial_ended": TrialEnded,
    "change_reopened": ChangeReopened,
    "gate_started": GateStarted,
    "gate_finished": GateFinished,
    "report_signed": ReportSigned,
    "intent": Intent,
    "intent_abandoned": IntentAbandoned,
    "change_landed": ChangeLanded,
    "commits_adopted": CommitsAdopted,
    "user_main_seen": Commit,
    "user_main_settled": Commit,
    "published": Published,
    "publish_pending": PublishPending,
    "remote_main_seen": RemoteMainSeen,
    "remote_checked": RemoteChecked,
    "pull_request_opened": PullRequestOpened,
    "pull_request_updated": PullRequestUpdated,
    "canary_started": CanaryStarted,
    "canary_finished": CanaryFinished,
    "canary_judged": CanaryJudged,
    "sample_crept": SampleCrept,
    "golden_accepted": GoldenAccepted,
    "golden_rejected": GoldenRejected,
    "golden_proposed": GoldenProposed,
    "golden_settled": GoldenSettled,
    "landing_frozen": LandingFrozen,
    "landing_thawed": LandingThawed,
    "main_restored": MainRestored,
    "culprit_found": CulpritFound,
    "culprit_unresolved": CulpritUnresolved,
    "bug_not_filed": CommitReason,
    "change_reverted": ChangeReverted,
    "people_proved": Commits,
    "test_quarantined": TestQuarantined,
    "quarantine_lifted": QuarantineLifted,
    "approval_asked": ApprovalAsked,
    "approval_joined": ApprovalJoined,
    "approval_answered": ApprovalAnswered,
    "operation_started": OperationStarted,
    "operation_finished": OperationFinished,
    "guardrail_denied": GuardrailDenied,
    "effect_failed": EffectFailed,
    "transition_refused": TransitionRefused,
    "disk_checked": DiskChecked,
    "suspended": Suspended,
    "provider_paused": ProviderPaused,
    "provider_resumed": ProviderResumed,
    "memory_checked": MemoryChecked,
    "budget_used_up": BudgetUsedUp,
}
"""Every kind that the engine writes."""
