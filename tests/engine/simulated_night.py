"""A night in virtual time: the real planner and the real fold, in a world that decides outcomes from a seed.

Trees are sets of change ids, so that "the merged tree" and "exactly this tree" mean something without git.
"""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from engine.actions import (
    CANCELLABLE,
    LANES,
    MOVERS,
    Action,
    Adopt,
    CheckAcceptance,
    CheckChange,
    FileBug,
    GateMain,
    GateTrial,
    Land,
    Publish,
    Record,
    Restore,
    RunCanary,
    StartRun,
)
from engine.flakes import in_quarantine, known_flaky
from engine.fold import apply
from engine.models.event import Event, NewEvent
from engine.models.flow import Flow
from engine.models.roadmap import WorkOrder
from engine.models.settings import Settings
from engine.planner import plan
from engine.snapshot import dump_state
from engine.state import State

PURITY_EVERY = 7
"""Copying a state takes longer than planning it."""
FLAKY_TESTS = ("t.one", "t.two")
FLOW = Flow.model_validate({"name": "smoke", "start": {"run": ["x"]}})


@dataclass
class Odds:
    """How often things go wrong, 0 to 1."""

    agent_fails: float = 0.1
    guard_denies: float = 0.05
    red_alone: float = 0.15
    red_together: float = 0.1
    red_canary: float = 0.1
    asks: float = 0.05
    green_already: float = 0.1
    machine_fails: float = 0.05
    person_commits: float = 0.02
    person_answers: float = 0.02
    crash: float = 0.02
    flakes: float = 0.0
    """Of each test of `FLAKY_TESTS`, until an order has mended it."""
    flaky_canary: float = 0.0
    """Of each canary run: that it shows the wrong colour."""
    slower: float = 0.0
    """Of each comparison: that samples are worse."""


@dataclass
class SimulatedNight:
    """`step` performs one thing; `run` goes on until the planner calls it settled. `violations` must stay empty."""

    seed: int
    orders: list[WorkOrder]
    settings: Settings
    odds: Odds = field(default_factory=Odds)
    state: State = field(default_factory=State)
    events: list[Event] = field(default_factory=list)
    pending: dict[str, Action] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    now: float = 1_000.0
    commits: dict[str, frozenset[str]] = field(default_factory=dict)
    report_of: dict[str, tuple[str, str]] = field(default_factory=dict)
    epoch: int = 0
    steps: int = 0
    finished: set[str] = field(default_factory=set)
    """Keys that ended in this epoch."""
    people: dict[str, str] = field(default_factory=dict)
    """A person's commits: each and the commit that it was made on."""
    judged_first: list[str] = field(default_factory=list)
    checkout: str = "c0"
    """Where the user's own main points."""
    held: Callable[[Action], bool] = lambda _action: False
    """What does not end while anything else can."""
    policy: str = "p1"

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.commits["c0"] = frozenset()
        self.emit(
            NewEvent(
                "repository_opened",
                {"commit": "c0", "tree": self.tree_id(frozenset()), "repository": "r", "branch": "main"},
            )
        )
        self.start_engine()

    # -- the world -----------------------------------------------------------------------------------------------

    def tree_id(self, tree: frozenset[str]) -> str:
        return hashlib.sha256(",".join(sorted(tree)).encode()).hexdigest()[:40]

    def chance(self, odds: float, *about: object) -> bool:
        """The same question has the same answer within one night."""
        return random.Random(repr((self.seed, about))).random() < odds

    def tree_is_red(self, tree: frozenset[str]) -> bool:
        pairs = [(a, b) for a in tree for b in tree if a < b]
        return any(self.chance(self.odds.red_alone, "alone", c) for c in tree) or any(
            self.chance(self.odds.red_together, "pair", a, b) for a, b in pairs
        )

    def canary_is_red(self, tree: frozenset[str]) -> bool:
        return any(self.chance(self.odds.red_canary, "canary", c) for c in tree)

    def new_commit(self, tree: frozenset[str]) -> str:
        commit = f"c{len(self.commits)}"
        self.commits[commit] = tree
        return commit

    # -- events --------------------------------------------------------------------------------------------------

    def emit(self, *news: NewEvent) -> None:
        for new in news:
            event = Event(len(self.events) + 1, self.now, new.kind, new.work_order, new.run, dict(new.fields))
            self.events.append(event)
            refused = apply(self.state, event)
            if refused:
                self.violations.append(f"refused: {refused}")
        self.check()

    def start_engine(self) -> None:
        self.epoch += 1
        self.finished.clear()
        self.emit(NewEvent("engine_started", {"epoch": self.epoch, "version": "0", "pid": 1}))
        for intent in list(self.state.intents.values()):
            self.settle(intent)
        for order in list(self.state.orders.values()):
            if order.phase == "running":
                self.emit(
                    NewEvent(
                        "run_finished",
                        {
                            "result": "interrupted",
                            "counted": False,
                            "reason": "",
                            "kept": "",
                            "exit_code": None,
                            "duration_s": 0.0,
                        },
                        order.spec.id,
                        order.run,
                    ),
                    NewEvent("run_interrupted", {"why": "restart"}, order.spec.id, order.run),
                )
        self.emit(NewEvent("settings_read", {"policy": self.policy, "settings": "s", "bootstrap": False}))
        self.emit(
            NewEvent(
                "roadmap_read",
                {
                    "count": 1,
                    "orders": [o.model_dump(mode="json", by_alias=True) for o in self.orders],
                    "gone": [],
                    "items": [],
                },
            )
        )

    def settle(self, intent: dict[str, Any]) -> None:
        """Of what a crash left half-done: main has not moved."""
        self.emit(NewEvent("intent_abandoned", {"effect_id": intent["effect_id"], "reason": "restart"}))

    # -- invariants ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        landed = [e for e in self.events[-1:] if e.kind in ("change_landed", "main_restored")]
        for event in landed:
            tree, result = self.report_of.get(event.fields["report"], ("", "none"))
            if tree != event.fields["tree"] or result != "green":
                self.violations.append(f"{event.fields['commit']} landed without a green report for its tree")

    # -- one step ------------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Plan, then let one thing happen. False when settled."""
        if self.random.random() < self.odds.crash:
            self.pending.clear()
            self.start_engine()
        if len(self.people) < 3 and self.random.random() < self.odds.person_commits:
            self.person_commits()
        for approval in [a for a in self.state.approvals.values() if a.status == "pending"]:
            if self.random.random() < self.odds.person_answers:
                answer = self.random.choice(["approved", "denied"])
                fields = {"approval": approval.id, "answer": answer, "by": "a person"}
                self.emit(NewEvent("approval_answered", fields, approval.order))
        made = plan(self.state, self.settings, self.now)
        self.steps += 1
        if self.steps % PURITY_EVERY == 0:
            before = dump_state(self.state)
            if made != plan(copy.deepcopy(self.state), self.settings, self.now) or dump_state(self.state) != before:
                self.violations.append("plan is not pure")
        records = [action for action in made.actions if isinstance(action, Record)]
        if records:
            self.emit(*(NewEvent(r.kind, r.fields, r.work_order) for r in records))
            return True
        desired = {action.key: action for action in made.actions}
        if sum(isinstance(action, MOVERS) for action in made.actions) > 1:
            self.violations.append("two movers at once")
        for key in [k for k, a in self.pending.items() if k not in desired and isinstance(a, CANCELLABLE)]:
            self.cancelled(self.pending.pop(key))
        for key, action in desired.items():
            lane = next((lane for lane in LANES if isinstance(action, lane)), ())
            taken = any(isinstance(other, lane) for other in self.pending.values())
            if key not in self.pending and not taken:
                if key in self.finished:
                    self.violations.append(f"{key} is asked for again after it ended")
                self.pending[key] = action
                self.begin(action)
        if self.pending:
            free = [key for key in sorted(self.pending) if not self.held(self.pending[key])]
            key = self.random.choice(free or sorted(self.pending))
            self.now += self.random.random() * 60
            self.finished.add(key)
            self.finish(self.pending.pop(key))
            return True
        if made.settled:
            return False
        if made.wake_at is not None:
            self.now = max(self.now + 0.01, made.wake_at)
            return True
        self.violations.append("the planner waits for nothing and is not settled")
        return False

    def run(self, steps: int = 4_000) -> None:
        for _ in range(steps):
            if not self.step():
                return
            if self.violations:
                return
        self.violations.append(f"not settled after {steps} steps")

    def begin(self, action: Action) -> None:
        if isinstance(action, StartRun):
            if action.key in self.started:
                self.violations.append(f"{action.key} started twice")
            self.started.append(action.key)
            order = self.state.orders[action.order]
            if order.goal and order.accepted != order.goal:
                self.violations.append(f"{action.key} began before main was seen to be red on what it is to prove")
            self.emit(
                NewEvent(
                    "run_started",
                    {"attempt": order.attempts + 1, "role": "implementer", "agent": "a", "base": self.state.main},
                    action.order,
                    action.run,
                )
            )
        if isinstance(action, RunCanary):
            fields = {"commit": action.commit, "about": action.about, "purpose": action.purpose}
            self.emit(NewEvent("canary_started", fields))
        if isinstance(action, GateTrial):
            fields = {"trial": action.key, "test": list(action.test), "assumed": list(action.assumed)}
            order = self.state.changes[action.test[-1]].order
            self.emit(NewEvent("trial_started", {**fields, "base": "", "tree": ""}, order))
        if isinstance(action, CheckChange) and self.state.changes[action.change].status == "proposed":
            self.emit(NewEvent("change_verifying", {"change": action.change}, self.state.changes[action.change].order))

    def cancelled(self, action: Action) -> None:
        if isinstance(action, GateTrial):
            self.emit(NewEvent("trial_ended", {"trial": action.key, "why": "superseded", "reason": ""}))
        if isinstance(action, StartRun) and self.state.orders[action.order].phase == "running":
            self.violations.append(f"{action.key} was cancelled while it was wanted")
        if isinstance(action, RunCanary) and action.commit in [landing.commit for landing in self.state.landings]:
            self.violations.append(f"{action.key} was cancelled because something newer landed")

    def finish(self, action: Action) -> None:
        if not isinstance(action, StartRun) and self.random.random() < self.odds.machine_fails:
            if isinstance(action, GateTrial):
                self.emit(NewEvent("trial_ended", {"trial": action.key, "why": "superseded", "reason": ""}))
            self.emit(NewEvent("effect_failed", {"effect": action.effect, "error": "disk", "traceback": ""}))
            return
        getattr(self, f"_{type(action).__name__}")(action)

    def _StartRun(self, a: StartRun) -> None:  # noqa: N802 - named after the action
        order = self.state.orders[a.order]
        ended: dict[str, Any] = {"counted": True, "reason": "", "kept": "k", "exit_code": 0, "duration_s": 1.0}
        if order.resume is None and self.chance(self.odds.asks, "ask", a.order):
            ident = f"ap-{a.run}"
            self.emit(
                NewEvent("run_finished", {**ended, "result": "asked", "counted": False}, a.order, a.run),
                NewEvent(
                    "approval_asked",
                    {
                        "approval": ident,
                        "danger": "d",
                        "title": "t",
                        "why": "",
                        "operation": {"argv": ["x"]},
                        "hash": "h",
                        "expires_at": self.now + 500,
                        "subject": a.run,
                        "tree": "kept",
                        "base": self.state.main,
                    },
                    a.order,
                    a.run,
                ),
                NewEvent("work_order_parked", {"why": "asks", "do": "approve", "approval": ident}, a.order, a.run),
            )
        elif self.random.random() < self.odds.agent_fails:
            self.emit(
                NewEvent("run_finished", {**ended, "result": "failed"}, a.order, a.run),
                NewEvent("change_rejected", {"change": "", "reasons": ["failed"]}, a.order, a.run),
            )
        else:
            change = f"{a.order}/{order.runs}"
            self.commits[f"head:{change}"] = frozenset({change})
            self.emit(
                NewEvent("run_finished", {**ended, "result": "done"}, a.order, a.run),
                NewEvent(
                    "change_proposed",
                    {
                        "change": change,
                        "base": self.state.main,
                        "head": f"head:{change}",
                        "tree": "x",
                        "paths": ["p"],
                        "summary": "",
                        "agent": "a",
                    },
                    a.order,
                    a.run,
                ),
            )

    def _CheckAcceptance(self, a: CheckAcceptance) -> None:  # noqa: N802
        green = self.chance(self.odds.green_already, "goal", a.order, a.goal)
        fields = {"tree": a.tree, "goal": a.goal, "ok": not green, "reason": "green already" if green else ""}
        parked = [NewEvent("work_order_parked", {"why": "w", "do": "d"}, a.order)] if green else []
        self.emit(NewEvent("acceptance_checked", fields, a.order), *parked)

    def _CheckChange(self, a: CheckChange) -> None:  # noqa: N802
        order = self.state.changes[a.change].order
        if self.random.random() < self.odds.guard_denies:
            self.emit(NewEvent("change_rejected", {"change": a.change, "reasons": ["scope"]}, order))
        else:
            self.emit(NewEvent("change_queued", {"change": a.change, "guards": []}, order))

    def _report(
        self,
        kind: str,
        tree: frozenset[str],
        base: frozenset[str],
        change: str,
        order: str,
        trial: str = "",
        policy: str = "",
    ) -> None:
        digest = f"sha256:{len(self.report_of):08d}"
        told = self._flaky_tests(kind, fair="red" if self.tree_is_red(tree) else "green")
        result = str(told.pop("result"))
        self.report_of[digest] = (self.tree_id(tree), result)
        self.emit(
            NewEvent(
                "report_signed",
                {
                    "report_kind": kind,
                    "result": result,
                    "report": digest,
                    "tree": self.tree_id(tree),
                    "base": self.tree_id(base),
                    "base_commit": "",
                    "policy": policy or self.state.policy,
                    "change": change,
                    "reasons": ["red"] if result == "red" else [],
                    "trial": trial,
                    **told,
                },
                order,
            )
        )

    def _flaky_tests(self, kind: str, fair: str) -> dict[str, Any]:
        """What a run of gates with flaky tests says: a second try for known ones, a control run for the others."""
        mended = {test for order in self.state.orders.values() if order.landed for test in order.spec.steady}
        shaky = [test for test in FLAKY_TESTS if test not in mended]

        def run(tests: Iterable[str]) -> list[str]:
            return [test for test in tests if self.random.random() < self.odds.flakes]

        excused = in_quarantine(self.state.flakes, self.settings.flakes, self.now)
        failed = run(shaky)
        failing = [test for test in failed if test not in excused]
        told: dict[str, Any] = {"ran": ["unit"], "quarantined": {"unit": [t for t in failed if t in excused]}}
        if failing and fair == "green" and set(failing) <= set(known_flaky(self.state.flakes)) and not run(failing):
            told["retried"], failing = {"unit": failing}, []
        if failing and fair == "green":
            again = run(failing)
            shown = again if kind == "land" else [test for test in failing if test not in again]
            told |= {"flaked": {"unit": shown}, "excused": set(shown) == set(failing)}
        told["failing"] = {"unit": failing} if failing else {}
        return told | {"result": "red" if failing else fair}

    def _GateTrial(self, a: GateTrial) -> None:  # noqa: N802
        base = self._merged(self.commits[self.state.main], a.assumed)
        last = self.state.changes[a.test[-1]]
        self._report("land", self._merged(base, a.test), base, last.id, last.order, a.key)

    def _merged(self, tree: frozenset[str], changes: Iterable[str]) -> frozenset[str]:
        return tree.union(*(self.brings(self.state.changes[name].head) for name in changes))

    def _GateMain(self, a: GateMain) -> None:  # noqa: N802
        tree = self.commits[a.commit]
        self._report("gates", tree, tree, "", "")

    def _Land(self, a: Land) -> None:  # noqa: N802
        changes = [self.state.changes[name] for name in a.changes]
        tree = self._merged(self.commits[self.state.main], a.changes)
        if self.report_of[a.report] != (self.tree_id(tree), "green"):
            self.emit(
                NewEvent("effect_failed", {"effect": a.effect, "error": "the report does not fit", "traceback": ""})
            )
            return
        intent = {"effect": "land", "effect_id": a.key, "old": self.state.main, "new": "n", "outcome": {}}
        self.emit(NewEvent("intent", intent, changes[0].order))
        if self.random.random() < self.odds.crash:
            self.pending.clear()
            self.start_engine()
            return
        landed: list[NewEvent] = []
        tip, step = self.state.main, self.commits[self.state.main]
        for change in changes:
            step = step | self.brings(change.head)
            parent, tip = tip, self.new_commit(step)
            fields = {"change": change.id, "tree": self.tree_id(step), "report": a.report, "parent": parent}
            landed.append(NewEvent("change_landed", {**fields, "commit": tip, "effect_id": a.key}, change.order))
        self.emit(*landed)

    def _Restore(self, a: Restore) -> None:  # noqa: N802
        tree = self.commits[a.to]
        digest = f"sha256:{len(self.report_of):08d}"
        self.report_of[digest] = (self.tree_id(tree), "green")
        commit = self.new_commit(tree)
        self.emit(
            NewEvent(
                "main_restored",
                {
                    "commit": commit,
                    "tree": self.tree_id(tree),
                    "to": a.to,
                    "from": self.state.main,
                    "red": a.red,
                    "report": digest,
                    "effect_id": a.key,
                },
            )
        )

    def person_commits(self) -> None:
        commit = f"p{len(self.people)}"
        self.commits[commit] = self.commits[self.checkout] | {commit}
        self.people[commit] = self.checkout
        self.checkout = commit
        self.emit(NewEvent("user_main_seen", {"commit": commit}))

    def own_line(self, commit: str) -> list[str]:
        """This commit of a person's and those of people that it was made on, newest first."""
        line: list[str] = []
        while commit in self.people:
            line.append(commit)
            commit = self.people[commit]
        return line

    def brings(self, head: str) -> frozenset[str]:
        """What a merge of this head adds: not what it merely was made on."""
        return frozenset(self.own_line(head)) if head in self.people else self.commits[head]

    def _Adopt(self, a: Adopt) -> None:  # noqa: N802
        on = a.commit
        while on in self.people and on != self.state.main:
            on = self.people[on]
        if on == self.state.main:
            tree = self.tree_id(self.commits[a.commit])
            fields = {"commit": a.commit, "tree": tree, "old": on, "commits": [a.commit], "effect_id": a.key}
            self.emit(NewEvent("commits_adopted", fields))
            return
        fields = {"change": f"person/{a.commit}", "base": on, "head": a.commit, "tree": "x", "paths": [], "agent": ""}
        fields["commits"] = self.own_line(a.commit)
        self.emit(NewEvent("change_proposed", {**fields, "summary": "", "person": True}))

    def _Publish(self, a: Publish) -> None:  # noqa: N802
        if self.checkout in self.people and self.checkout not in self.contained():
            self.emit(NewEvent("publish_pending", {"commit": a.commit, "reason": "the person has commits of his own"}))
            return
        self.checkout = a.commit
        self.emit(NewEvent("published", {"commit": a.commit, "to": "local"}))

    def contained(self) -> set[str]:
        """The person's commits that are in main's history."""
        landed = {change.head for change in self.state.changes.values() if change.person and change.commit}
        tips = landed | {commit for commit in self.people if commit in self.state.known_main}
        return {commit for tip in tips for commit in self.own_line(tip)}

    def _RunCanary(self, a: RunCanary) -> None:  # noqa: N802
        if a.purpose == "first":
            self.judged_first.append(a.commit)
        verdict, reason = self.canary_says(a)
        flow = "smoke" if verdict == "FAIL" else ""
        fields = {"commit": a.commit, "about": a.about, "purpose": a.purpose, "reason": reason, "flow": flow}
        row = {"flow": "smoke", "verdict": verdict, "reason": reason, "duration_s": 1.0}
        self.emit(NewEvent("canary_finished", {**fields, "verdict": verdict, "flows": [row]}))

    def canary_says(self, a: RunCanary) -> tuple[str, str]:
        """(verdict, reason)."""
        if a.purpose == "compare":
            return ("FAIL", "frame_ms 10 to 13 ms") if self.random.random() < self.odds.slower else ("PASS", "")
        red = self.canary_is_red(self.commits[a.commit])
        if self.odds.flaky_canary and self.random.random() < self.odds.flaky_canary:
            red = not red
        return ("FAIL", "wrong colour") if red else ("PASS", "")

    def _FileBug(self, a: FileBug) -> None:  # noqa: N802
        regression = next(r for r in self.state.regressions if r.commit == a.commit)
        nth = sum(r.order == regression.order for r in self.state.regressions)
        order = WorkOrder(id=f"bug-{regression.order}-{nth}", title="bug", kind="fix")
        self.emit(
            NewEvent(
                "work_order_added",
                {"order": order.model_dump(mode="json", by_alias=True), "because": "canary", "regression": a.commit},
                order.id,
            )
        )
