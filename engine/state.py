"""What is: the engine's whole knowledge. Only `engine.fold` writes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.canary_state import Canaried, Landing, Regression
from engine.canary_state import CanaryRun as CanaryRun
from engine.conflicts import ConflictRate
from engine.flakes import FlakeRecord
from engine.flow_health import FlowRecord
from engine.flow_health import FlowRun as FlowRun
from engine.flow_health import Trend as Trend
from engine.golden_state import Golden
from engine.lifecycle import Phase
from engine.models.roadmap import Item, WorkOrder
from engine.spending_state import Held as Held
from engine.spending_state import Provider as Provider
from engine.spending_state import Spending
from engine.spending_state import Tally as Tally
from engine.spending_state import Typical as Typical

ChangeStatus = Literal["proposed", "verifying", "queued", "landed", "healthy", "rejected", "reverted", "dropped"]


@dataclass
class Resume:
    """What the next run of an order starts from: a kept tree, the commit it was made on, and the answered operation.

    `done`: what became of the operation, once it was carried out; `tree` is then what it left.
    """

    tree: str
    base: str
    approval: str
    answer: str
    operation: dict[str, Any]
    done: dict[str, Any] | None = None


@dataclass(slots=True)
class Order:
    """A work order and where it stands. `attempts` counts ended runs that were the agent's own; `spent` those
    since the last fresh start."""

    spec: WorkOrder
    phase: Phase = "draft"
    source: Literal["roadmap", "swarm"] = "roadmap"
    since: float = 0.0
    ready_at: float = 0.0
    attempts: int = 0
    spent: int = 0
    runs: int = 0
    run: str = ""
    agent: str = ""
    """Who did its last run."""
    change: str = ""
    feedback: list[str] = field(default_factory=list[str])
    why: str = ""
    do: str = ""
    resume: Resume | None = None
    unfinished: str = ""
    """The commit of what its last run had done when its provider's limit ended it: the next one goes on from there."""
    given: str = ""
    """What its last run was told of that."""
    approval: str = ""
    waits_for: list[str] = field(default_factory=list[str])
    landed: int = 0
    rejections: int = 0
    reverts: int = 0
    tokens: int = 0
    cost: float = 0.0
    asked: int = 0
    """Questions since the last fresh start; `denied`: those of them that a person said no to."""
    denied: int = 0
    refused: list[str] = field(default_factory=list[str])
    """Hosts that its runs wanted to reach and were not let; `hosts`: those that a person lets it reach."""
    hosts: list[str] = field(default_factory=list[str])
    proposed_by: str = ""
    """The order whose handoff proposes it: it waits until it is accepted. "" for what nobody has to accept."""
    tests_for: str = ""
    """The order that its tests are written for."""
    handoff: str = ""
    """The artifact of its last handoff; `forbidden`: of a Design Contract, its boundaries as in the settings."""
    forbidden: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    done: dict[str, Any] = field(default_factory=dict[str, Any])
    """The fields of `work_order_done`."""
    accepted: str = ""
    """`goal` as it was when main was last seen to be red on it."""

    @property
    def goal(self) -> str:
        """Digest of what the order names as its proof; "" when nothing has to be red before work begins."""
        spec = self.spec
        if spec.kind not in ("feature", "fix") or not (spec.tests or spec.acceptance or spec.repro):
            return ""
        named = [spec.kind, spec.tests, [each.model_dump() for each in spec.acceptance], spec.repro]
        return hashlib.sha256(json.dumps(named).encode("utf-8")).hexdigest()[:16]


@dataclass
class Verdict:
    """What a signed report said about a merged tree. Good for landing while main's tree is `base` and the policy
    is `policy`."""

    result: str
    report: str
    tree: str
    base: str
    policy: str
    reasons: list[str]
    feedback: list[str] = field(default_factory=list[str])
    retried: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    """Gate -> tests that passed only when tried again; `ran`: gates that ran for it."""
    ran: list[str] = field(default_factory=list[str])
    quarantined: list[str] = field(default_factory=list[str])
    """Tests whose failures did not count; it holds `until` the first of them does again (UTC seconds; 0: for good)."""
    until: float = 0.0
    excused: bool = False
    """It is red by tests alone that flake on main."""


@dataclass
class MainRed:
    """The tests that failed, by gate, when main's own gates were red for the last time."""

    tree: str
    policy: str
    failing: dict[str, list[str]]


@dataclass
class TrialRun:
    """One run of the gates on main with the changes `assumed` merged first and `test` on top, each in this order.

    key: its action's. verdict: None while it runs; without a report where the changes do not merge. begun_at: UTC
    seconds.
    """

    key: str
    test: list[str]
    assumed: list[str]
    begun_at: float
    verdict: Verdict | None = None


@dataclass
class PassRate:
    """Of changes that the gates decided: how many landed, and how many there were."""

    passed: int = 0
    decided: int = 0

    @property
    def belief(self) -> float:
        """Probability that the next one is good: 85 % with the weight of ten, until there is more."""
        return (self.passed + 8.5) / (self.decided + 10)


@dataclass
class Learned:
    """What the journal teaches about this repository: pass rates by kind of work order, minutes by gate (a moving
    mean), and how often changes that are good alone are red together."""

    rates: dict[str, PassRate] = field(default_factory=dict[str, PassRate])
    minutes: dict[str, float] = field(default_factory=dict[str, float])
    conflicts: ConflictRate = field(default_factory=ConflictRate)


@dataclass
class Change:
    """A harvested tree that wants to land. `verdicts` by base tree. `person`: commits of a person that had diverged."""

    id: str
    order: str
    base: str
    head: str
    tree: str
    paths: list[str]
    summary: str = ""
    risk: str = ""
    rollback: str = ""
    agent: str = ""
    lines: int = 0
    """How many it adds and deletes, where the settings ask."""
    status: ChangeStatus = "proposed"
    queued_seq: int = 0
    queued_at: float = 0.0
    proven: bool = False
    """It was in a tree that was green."""
    held: bool = False
    person: bool = False
    commits: list[str] = field(default_factory=list[str])
    """A person's change: all commits of his that it brings."""
    commit: str = ""
    why: str = ""
    """Why it was rejected."""
    guards: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What the guards said before it was queued: every report on it repeats them."""
    asks: list[str] = field(default_factory=list[str])
    """Danger classes that its agent wants a person to be asked about, where a guard denies them."""
    denials: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """What the guards denied (the fields of `guardrail_denied`) since it was last looked at."""
    waivers: dict[str, str] = field(default_factory=dict[str, str])
    """What a person allowed: hash of one guard's word -> the approval."""
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    excused: int = 0
    """Red trials that were not held against it, because their tests flake on main."""
    joined: str = ""
    """The commit of the verifier whose tests it holds."""
    golden: str = ""
    """The accepted golden that it brings to main, alone (then `person`) or with the change that needs it."""


@dataclass
class Approval:
    """One question to a person about one exact, hashed operation. `order` asked first, `also` asked the same since;
    `used`: those of them for whom it was carried out, which happens once for each."""

    id: str
    danger: str
    title: str
    why: str
    operation: dict[str, Any]
    hash: str
    asked_at: float
    expires_at: float
    order: str = ""
    subject: str = ""
    tree: str = ""
    base: str = ""
    status: Literal["pending", "approved", "denied", "expired", "used"] = "pending"
    by: str = ""
    said: str = ""
    also: list[str] = field(default_factory=list[str])
    used: list[str] = field(default_factory=list[str])
    facts: list[str] = field(default_factory=list[str])
    """What a person is shown beside the operation, one line each: what would be deleted, which package."""
    warnings: list[str] = field(default_factory=list[str])
    reads: dict[str, str] = field(default_factory=dict[str, str])
    """Files and folders of the tree that the argv names, and their object ids."""

    @property
    def askers(self) -> list[str]:
        """All work orders to which the answer applies."""
        return [self.order, *self.also]


@dataclass
class Failure:
    """An effect that failed for the machine's reasons. `next_at`: UTC seconds before which it is not tried again."""

    count: int
    next_at: float
    error: str


@dataclass
class InForce:
    """What a status tells of the settings that the engine goes by: whoever looks from outside need not read them."""

    implementer: str = ""
    flows: int = 0
    cost_per_night: float = 0.0
    tokens_per_work_order: int = 0
    quota: dict[str, int] = field(default_factory=dict[str, int])
    """What a run or gate may use, by the names of `limits`; 0: no limit."""
    budgets: dict[str, float] = field(default_factory=dict[str, float])
    """What is limited in `[budgets]`, such as `night.tokens` or `role.verifier.cost`."""
    providers: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Role -> the providers of its agent and of those that stand in for it."""


@dataclass
class Denial:
    """Something that a guard, a quota, the network or an approval's rule did not let pass. `at`: UTC seconds."""

    order: str
    rule: str
    reason: str
    at: float
    run: str = ""


@dataclass
class PullRequest:
    """One that the engine opened: what its branch is at, and what the forge said when it was last asked."""

    branch: str
    commit: str
    number: int
    url: str
    title: str
    order: str = ""
    status: str = "open"
    ci: str = ""


@dataclass
class RemoteMain:
    """What is known of the user's remote.

    main: its branch when it was last seen; done: the commit of hub's main that was published or proposed last; seen: a
    commit of a person there that is to be taken in; looked: whether it was spoken with since the engine started; tries:
    failures in a row; rounds: how often it was tried, for keys. retry_at: UTC seconds.
    """

    main: str = ""
    done: str = ""
    seen: str = ""
    looked: bool = False
    pending: str = ""
    retry_at: float = 0.0
    tries: int = 0
    rounds: int = 0
    pull_requests: dict[str, PullRequest] = field(default_factory=dict[str, PullRequest])


@dataclass
class State:
    """The engine's whole knowledge. A projection: it can be thrown away and folded again."""

    seq: int = 0
    epoch: int = 0
    started_at: float = 0.0
    repository: str = ""
    branch: str = "main"
    main: str = ""
    main_tree: str = ""
    policy: str = ""
    bootstrap: bool = False
    in_force: InForce = field(default_factory=InForce)
    sandbox: dict[str, Any] = field(default_factory=dict[str, Any])
    """Of the engine that started last: `backend`, `reason`, `guarantees`."""
    denied: dict[str, int] = field(default_factory=dict[str, int])
    """How often each rule denied something."""
    denials: list[Denial] = field(default_factory=list[Denial])
    """The newest, oldest first."""
    items: dict[str, Item] = field(default_factory=dict[str, Item])
    orders: dict[str, Order] = field(default_factory=dict[str, Order])
    changes: dict[str, Change] = field(default_factory=dict[str, Change])
    trials: dict[str, TrialRun] = field(default_factory=dict[str, TrialRun])
    trials_begun: int = 0
    suspected: list[list[str]] = field(default_factory=list[list[str]])
    """Changes that were red together, also on an older main: each group has a bad one."""
    learned: Learned = field(default_factory=Learned)
    flakes: dict[str, FlakeRecord] = field(default_factory=dict[str, FlakeRecord])
    """Test id -> what main has shown of it, where it has been seen to flake."""
    main_red: MainRed | None = None
    main_excused: int = 0
    """Red runs of main's own gates that were asked again, because tests alone failed that passed a moment later."""
    known_main: list[str] = field(default_factory=list[str])
    landings: list[Landing] = field(default_factory=list[Landing])
    last_good: str = ""
    last_good_tree: str = ""
    verified: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    canaries: dict[str, Canaried] = field(default_factory=dict[str, Canaried])
    regressions: list[Regression] = field(default_factory=list[Regression])
    restores_at: list[float] = field(default_factory=list[float])
    goldens: dict[str, Golden] = field(default_factory=dict[str, Golden])
    """What canary runs propose to record as right, and what people said to it."""
    flows: dict[str, FlowRecord] = field(default_factory=dict[str, FlowRecord])
    """What each canary flow has shown; gates that run after landing are `gate:<name>`."""
    searched: bool = False
    """Of the two that share the canary, a culprit search ran last: a landing comes next."""
    compared: str = ""
    """The good commit whose samples are what the next one's are held against; `uncompared`: what landed since."""
    uncompared: list[Landing] = field(default_factory=list[Landing])
    frozen: str = ""
    frozen_kind: str = ""
    frozen_at: float = 0.0
    frozen_s: float = 0.0
    """How long landing was frozen before `frozen_at`, in seconds; `freezes`: how often."""
    freezes: int = 0
    unproven: list[str] = field(default_factory=list[str])
    user_main: str = ""
    settled_user_main: list[str] = field(default_factory=list[str])
    published: str = ""
    publish_pending: str = ""
    publish_retry_at: float = 0.0
    publish_tries: int = 0
    remote: RemoteMain = field(default_factory=RemoteMain)
    approvals: dict[str, Approval] = field(default_factory=dict[str, Approval])
    intents: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    failures: dict[str, Failure] = field(default_factory=dict[str, Failure])
    paused: bool = False
    draining: bool = False
    low_disk: bool = False
    running: bool = False
    roadmap_error: str = ""
    settings_error: str = ""
    tokens: int = 0
    cost: float = 0.0
    cost_tonight: float = 0.0
    spending: Spending = field(default_factory=Spending)

    def queue(self) -> list[Change]:
        """Changes on the train in the order in which they may land: priority, then arrival."""

        def rank(change: Change) -> tuple[int, int]:
            order = self.orders.get(change.order)
            return (order.spec.priority if order else 0, change.queued_seq)

        held = self.in_doubt()
        queued = (c for c in self.changes.values() if c.status == "queued" and not c.held and c.id not in held)
        return sorted(queued, key=rank)

    def in_doubt(self) -> set[str]:
        """Changes one of which broke main, nobody knows which. They wait for the bug order's test; then they land one
        after the other, each judged before the next."""
        held: set[str] = set()
        for regression in self.regressions:
            if not regression.range or regression.slower:
                continue
            names = [landing.change for landing in regression.suspects if landing.commit in regression.range]
            known = [change for name in names if (change := self.changes.get(name)) is not None]
            waiting = [change.id for change in known if change.status in ("queued", "landed")]
            held.update(waiting if self._bug_is_open(regression.bug) else waiting[1:])
        return held

    def _bug_is_open(self, bug: str) -> bool:
        order = self.orders.get(bug)
        return not bug or (order is not None and order.phase not in ("landed", "healthy", "cancelled", "parked"))

    def more_tonight(self) -> list[Approval]:
        """The questions of this start whether the night may spend more than its budget."""
        asked = [one for one in self.approvals.values() if one.danger == "over_budget" and not one.order]
        return [one for one in asked if one.operation.get("epoch") == self.epoch]

    def granted_tonight(self) -> float:
        """What people let the night spend beyond its budget."""
        return sum(float(one.operation["more"]) for one in self.more_tonight() if one.status == "approved")

    def base_verdict(self) -> Verdict | None:
        """What is proved about main's own tree under the policy in force."""
        verdict = self.verified.get(self.main_tree)
        return verdict if verdict is not None and verdict.policy == self.policy else None
