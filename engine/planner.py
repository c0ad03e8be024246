"""`plan(state, settings, now)`: all that should be running now, and when to look again. Pure: no clock, disk or network.

Level-triggered: called after every event, also after a crash, it comes to the same answer. Speculation only decides what
runs; a change lands only on a green report of exactly main's tip with the change merged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine import canary_policy
from engine.actions import (
    MOVERS,
    Action,
    Adopt,
    CheckChange,
    FileBug,
    GateChange,
    GateMain,
    Land,
    Publish,
    Record,
    Restore,
    RunCanary,
    StartRun,
)
from engine.models.settings import Settings
from engine.scope import matches, overlaps
from engine.state import Approval, Change, Order, Regression, State, Verdict

MAX_EFFECT_FAILURES = 3
MAX_REVERTS = 2
CANARY_BACKLOG = 2
"""More un-judged landings than this, and the newest is judged for all: deliberate coalescing."""


@dataclass(frozen=True)
class Plan:
    """`wake_at`: UTC seconds at which to plan again if nothing happens (None: never). `settled`: nothing is left to do or to wait for."""

    actions: tuple[Action, ...]
    wake_at: float | None
    settled: bool


def plan(state: State, settings: Settings, now: float) -> Plan:
    """The desired actions for this state. Raises nothing; the same arguments always give the same plan."""
    return _Planner(state, settings, now).plan()


def approval_id(*parts: str) -> str:
    """A short, stable id for a question about exactly these parts."""
    return "ap-" + hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()[:10]


def land_danger(change: Change, order: Order | None, settings: Settings) -> str:
    """Why this change waits for a person before it lands, or "" if it does not."""
    merge = settings.merge
    if change.person:
        return ""
    if not merge.auto:
        return "the settings say merge.auto = false"
    if touched := [path for path in change.paths if matches(path, merge.ask_if.paths)]:
        return f"it touches {touched[0]}"
    if order is not None and order.spec.kind in merge.ask_if.kinds:
        return f"it is of kind {order.spec.kind}"
    if any(word and change.risk.strip().lower().startswith(word.lower()) for word in merge.ask_if.risk):
        return "its risk is named in merge.ask_if"
    return ""


@dataclass
class _Planner:
    state: State
    settings: Settings
    now: float
    actions: list[Action] = field(default_factory=list[Action])
    wake_at: float | None = None
    settled: bool = True

    def plan(self) -> Plan:
        if not self.state.main:
            return Plan((), None, True)
        for step in (
            self._approvals, self._work_orders, self._runs, self._checks, self._train, self._main_itself,
            self._adopt, self._publish, self._canary, self._regressions, self._health,
        ):  # fmt: skip
            step()
        self._one_mover()
        live = any(not isinstance(action, Record) for action in self.actions)
        return Plan(tuple(self.actions), self.wake_at, self.settled and not self.actions and not live)

    # -- small words ---------------------------------------------------------------------------------------------

    def _wake(self, at: float, *, waiting: bool = False) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)
        if waiting:
            self.settled = False

    def _record(self, kind: str, work_order: str = "", about: str = "", **fields: Any) -> None:
        effect = f"record:{kind}:{work_order}:{about}"
        self.actions.append(Record(f"{effect}@{self.state.seq}", effect, kind, work_order, fields))

    def _try(self, effect: str, make: Callable[[str], Action]) -> bool:
        """Ask for an effect, unless it failed too often or has to wait. False: it failed too often."""
        failure = self.state.failures.get(effect)
        if failure is None:
            self.actions.append(make(f"{effect}#0"))
            return True
        if failure.count >= MAX_EFFECT_FAILURES:
            return False
        if failure.next_at > self.now:
            self._wake(failure.next_at, waiting=True)
        else:
            self.actions.append(make(f"{effect}#{failure.count}"))
        return True

    def _park(self, order: Order, why: str, do: str, **fields: Any) -> None:
        self._record("work_order_parked", order.spec.id, why=why, do=do, **fields)

    def _park_failed(self, order_id: str, effect: str) -> None:
        order = self.state.orders.get(order_id)
        if order is not None and order.phase not in ("parked", "cancelled"):
            error = self.state.failures[effect].error
            self._park(order, f"the machine failed {MAX_EFFECT_FAILURES} times: {error}", f"mend it, then: swarm retry {order_id}")

    # -- people's answers ----------------------------------------------------------------------------------------

    def _approvals(self) -> None:
        for approval in self.state.approvals.values():
            if approval.status != "pending":
                continue
            if approval.expires_at <= self.now:
                self._record("approval_answered", approval.order, approval.id, approval=approval.id, answer="expired", by="clock")
            else:
                self._wake(approval.expires_at)

    def _answered(self, approval: Approval) -> bool:
        return approval.status in ("approved", "denied")

    # -- work orders ---------------------------------------------------------------------------------------------

    def _work_orders(self) -> None:
        for order in self.state.orders.values():
            spec = order.spec
            if order.phase == "draft" and not spec.draft and not spec.owner and self._depends_met(order):
                self._record("work_order_ready", spec.id)
            elif order.phase == "rejected" and order.spent >= self.settings.limits.attempts:
                self._park(order, f"{order.spent} attempts are spent; the last one: {'; '.join(order.feedback)[:300]}",
                           f"look at the reasons, then: swarm retry {spec.id} (or swarm cancel {spec.id})")  # fmt: skip
            elif order.phase == "rejected" and 0 < self.settings.limits.tokens_per_work_order <= order.tokens:
                self._park(order, f"its budget of {self.settings.limits.tokens_per_work_order} tokens is spent",
                           f"raise limits.tokens_per_work_order, then: swarm retry {spec.id}")  # fmt: skip
            elif order.phase == "reverted":
                self._after_revert(order)
            elif order.phase == "parked" and order.approval:
                self._after_answer(order)
            elif order.phase == "landed":
                self._after_landing(order)

    def _depends_met(self, order: Order) -> bool:
        for other_id in [*order.spec.depends_on, *order.waits_for]:
            other = self.state.orders.get(other_id)
            if other is None or other.phase not in ("landed", "healthy"):
                return False
        return True

    def _after_revert(self, order: Order) -> None:
        if order.reverts >= MAX_REVERTS:
            self._park(order, f"it was reverted {order.reverts} times", f"read its evidence, then: swarm retry {order.spec.id}")
            return
        filed = all(r.bug for r in self.state.regressions if r.order == order.spec.id)
        closed = ("landed", "healthy", "cancelled", "parked")
        bugs = [self.state.orders.get(bug) for bug in order.waits_for]
        if filed and all(bug is None or bug.phase in closed for bug in bugs):
            self._record("work_order_ready", order.spec.id)

    def _after_answer(self, order: Order) -> None:
        approval = self.state.approvals.get(order.approval)
        if approval is None or approval.status == "pending" or not approval.tree:
            return
        if self._answered(approval):
            resume = {"tree": approval.tree, "approval": approval.id, "answer": approval.status, "operation": approval.operation}
            self._record("work_order_ready", order.spec.id, resume=resume)

    def _after_landing(self, order: Order) -> None:
        change = self.state.changes.get(order.change)
        if change is None:
            return
        if change.status == "healthy":
            self._record("work_order_healthy", order.spec.id, commit=self.state.last_good, uncanaried=False)
        elif not self.settings.canary.flow and change.status == "landed":
            self._record("work_order_healthy", order.spec.id, commit=change.commit, uncanaried=True)

    # -- runs ----------------------------------------------------------------------------------------------------

    def _runs(self) -> None:
        limits = self.settings.limits
        running = [order for order in self.state.orders.values() if order.phase == "running"]
        for order in running:
            self.actions.append(StartRun(f"run:{order.run}", f"dispatch:{order.spec.id}", order.spec.id, order.run))
        if self.state.paused or self.state.draining or self.state.low_disk:
            return
        if 0 < limits.cost_per_night <= self.state.cost_tonight:
            return
        owned = [order for order in self.state.orders.values() if order.phase in ("running", "proposed", "verifying", "queued")]
        free = limits.implementers - len(running)
        waiting = [order for order in self.state.orders.values() if self._dispatchable(order)]
        for order in sorted(waiting, key=self._dispatch_rank):
            if free <= 0:
                break
            if any(self._collide(order, other) for other in owned):
                continue
            run = f"{order.spec.id}.{order.runs + 1}"
            effect = f"dispatch:{order.spec.id}"
            if self._try(effect, lambda _key, o=order, r=run, e=effect: StartRun(f"run:{r}", e, o.spec.id, r)):
                owned.append(order)
                free -= 1
            else:
                self._park_failed(order.spec.id, effect)

    def _dispatchable(self, order: Order) -> bool:
        if order.phase == "ready":
            return self._depends_met(order) or order.attempts > 0 or order.resume is not None
        return order.phase == "rejected" and order.spent < self.settings.limits.attempts

    def _dispatch_rank(self, order: Order) -> tuple[int, int, float, str]:
        unblocks = sum(order.spec.id in other.spec.depends_on for other in self.state.orders.values())
        return (order.spec.priority, -unblocks, order.ready_at, order.spec.id)

    def _collide(self, a: Order, b: Order) -> bool:
        return a is not b and bool(a.spec.touches and b.spec.touches) and overlaps(a.spec.touches, b.spec.touches)

    # -- the train -----------------------------------------------------------------------------------------------

    def _checks(self) -> None:
        for change in self.state.changes.values():
            if change.status in ("proposed", "verifying"):
                effect = f"check:{change.id}"
                if not self._try(effect, lambda key, c=change.id, e=effect: CheckChange(key, e, c)):
                    self._park_failed(change.order, effect)

    def _verdict(self, change: Change) -> Verdict | None:
        verdict = change.verdicts.get(self.state.main_tree)
        return verdict if verdict is not None and verdict.policy == self.state.policy else None

    def _train(self) -> None:
        """Candidates are gated on main's own tip side by side; only the first in line lands, the others gate again after it."""
        if self.state.base_verdict() is None:
            return
        queue = [change for change in self.state.queue() if self._gateable(change)]
        for place, change in enumerate(queue[: self.settings.limits.gate_slots]):
            verdict = self._verdict(change)
            if verdict is None:
                effect = f"gate:{change.id}@{self.state.main_tree[:16]}"
                main = self.state.main
                if not self._try(effect, lambda key, c=change.id, e=effect, p=place, m=main: GateChange(key, e, c, m, 0 if p == 0 else 10)):
                    self._park_failed(change.order, effect)
            elif verdict.result == "red":
                self._record("change_rejected", change.order, change.id, change=change.id, reasons=verdict.reasons, report=verdict.report)
            elif place == 0 and verdict.result == "green" and not self.state.frozen:
                self._land(change, verdict)

    def _gateable(self, change: Change) -> bool:
        base = self.state.base_verdict()
        if base is None or base.result == "green" or change.person:
            return True
        order = self.state.orders.get(change.order)
        return order is not None and order.spec.kind == "fix"

    def _land(self, change: Change, verdict: Verdict) -> None:
        order = self.state.orders.get(change.order)
        if danger := land_danger(change, order, self.settings):
            ident = approval_id("land", change.id, verdict.tree)
            approval = self.state.approvals.get(ident)
            if approval is None:
                self._ask(ident, "land", f"land {change.order}", danger, change.order, {"argv": ["land", change.id], "tree": verdict.tree}, change.id)
                return
            if approval.status in ("denied", "expired"):
                self._record("change_rejected", change.order, change.id, change=change.id, reasons=[f"a person said {approval.status} to landing it"])
                return
            if approval.status == "pending":
                return
        effect = f"land:{change.id}:{verdict.report[-16:]}"
        if not self._try(effect, lambda key: Land(key, effect, change.id, verdict.report)):
            self._park_failed(change.order, effect)

    def _ask(self, ident: str, danger: str, title: str, why: str, order: str, operation: dict[str, Any], subject: str) -> None:
        digest = hashlib.sha256(repr(sorted(operation.items())).encode("utf-8")).hexdigest()
        expires = self.now + self.settings.approvals.expire
        self._record("approval_asked", order, ident, approval=ident, danger=danger, title=title, why=why, operation=operation,
                     hash=digest, expires_at=expires, subject=subject)  # fmt: skip

    # -- main ----------------------------------------------------------------------------------------------------

    def _main_itself(self) -> None:
        state = self.state
        base = state.base_verdict()
        if base is None:
            effect = f"gates:{state.main_tree[:16]}:{state.policy[-12:]}"
            if not self._try(effect, lambda key: GateMain(key, effect, state.main, state.main_tree)) and not state.frozen:
                self._record("landing_frozen", reason=f"main's gates cannot run: {state.failures[effect].error}", why="gates")
        elif base.result != "green" and not state.frozen:
            self._record("landing_frozen", reason=f"main itself is {base.result}: {'; '.join(base.reasons)[:300]}", why="gates")
        elif base.result == "green" and state.frozen_kind == "gates":
            self._record("landing_thawed", reason="main's gates are green again")

    def _adopt(self) -> None:
        state = self.state
        seen = state.user_main
        if not seen or seen in state.known_main or seen in state.settled_user_main:
            return
        effect = f"adopt:{seen}"
        if not self._try(effect, lambda key: Adopt(key, effect, seen)):
            self._record("user_main_settled", commit=seen)

    def _publish(self) -> None:
        state = self.state
        if self.settings.project.publish not in ("local", "both") or state.published == state.main:
            return
        if state.publish_pending and state.publish_retry_at > self.now:
            self._wake(state.publish_retry_at)
            return
        effect = f"publish:{state.main}"
        key = f"{effect}#{state.publish_retry_at:.0f}"
        if state.failures.get(effect) is None:
            self.actions.append(Publish(key, effect, state.main))
        else:
            self._try(effect, lambda retry: Publish(retry, effect, state.main))

    # -- canary --------------------------------------------------------------------------------------------------

    def _canary(self) -> None:
        state = self.state
        if not self.settings.canary.flow or any(not r.done for r in state.regressions):
            return
        target = self._canary_target()
        if target is None:
            return
        known = state.canaries.get(target)
        probes = [canary_policy.Probe(target, r.purpose, r.verdict, r.reason, r.flow) for r in known.runs] if known else []  # type: ignore[arg-type]
        if known:
            probes += [canary_policy.Probe(state.last_good, "control", r.verdict, r.reason, r.flow) for r in known.controls]  # type: ignore[arg-type]
        step = canary_policy.confirm(target, state.last_good or None, probes)
        if isinstance(step, canary_policy.Judged):
            flow = next((r.flow for r in known.runs if r.flow), "") if known else ""
            self._record("canary_judged", "", target, commit=target, verdict=step.verdict, reason=step.reason, flaky=step.flaky, flow=flow)
            return
        self._probe(step.commit, target, step.purpose, len(probes))

    def _canary_target(self) -> str | None:
        state = self.state
        open_ = [
            landing.commit for landing in state.landings
            if landing.commit != state.last_good and not (state.canaries.get(landing.commit) and state.canaries[landing.commit].verdict)
        ]  # fmt: skip
        if self._red_landing() is not None or not open_:
            return None
        begun = next((commit for commit in open_ if commit in state.canaries), None)
        return begun or (open_[0] if len(open_) <= CANARY_BACKLOG else open_[-1])

    def _probe(self, commit: str, about: str, purpose: str, nth: int) -> None:
        effect = f"canary:{about[:16]}:{purpose}:{commit[:16]}:{nth}"
        if not self._try(effect, lambda key: RunCanary(key, effect, commit, about, purpose)):
            error = self.state.failures[effect].error
            self._record("canary_finished", "", effect, commit=commit, about=about, purpose=purpose, verdict="ENVIRONMENT",
                         reason=f"the canary could not run: {error}", flow="")  # fmt: skip

    def _red_landing(self) -> str | None:
        """The first landing since last good whose canary was judged FAIL, while it is still on main."""
        for landing in self.state.landings:
            judged = self.state.canaries.get(landing.commit)
            if judged is not None and judged.verdict == "FAIL":
                return landing.commit
        return None

    def _regressions(self) -> None:
        state = self.state
        for regression in state.regressions:
            if not regression.done:
                self._find_culprit(regression)
            elif regression.culprit and not regression.bug:
                effect = f"bug:{regression.commit}"
                if not self._try(effect, lambda key, e=effect, c=regression.commit: FileBug(key, e, c)):
                    self._record("bug_not_filed", regression.order, regression.commit, commit=regression.commit, reason=state.failures[effect].error)
        red = self._red_landing()
        if red is None:
            return
        if not state.frozen:
            judged = state.canaries[red]
            self._record("landing_frozen", reason=f"the canary is red on {red[:12]}: {judged.reason}", why="canary")
        elif state.frozen_kind == "canary":
            self._restore(red)

    def _restore(self, red: str) -> None:
        state = self.state
        if not state.last_good:
            return self._ask_restore(red, "no commit has passed the canary yet, so there is nothing to go back to")
        if not canary_policy.may_restore(state.restores_at, self.now):
            if not self._approved_restore(red, "main was restored 4 times within a day"):
                return None
        elif any(landing.kind == "person" for landing in state.landings) and not self._approved_restore(
            red, "a person's commits have come since last good, and restoring would take them off main"
        ):
            return None
        effect = f"restore:{state.last_good[:16]}:{state.main[:16]}"
        self._try(effect, lambda key: Restore(key, effect, state.last_good, red))
        return None

    def _ask_restore(self, red: str, why: str) -> None:
        ident = approval_id("restore", red, self.state.main)
        if ident not in self.state.approvals:
            operation = {"argv": ["restore", self.state.last_good or "nothing", "from", self.state.main], "tree": self.state.last_good_tree}
            self._ask(ident, "restore", f"main is red at {red[:12]}", why, "", operation, red)

    def _approved_restore(self, red: str, why: str) -> bool:
        self._ask_restore(red, why)
        approval = self.state.approvals.get(approval_id("restore", red, self.state.main))
        return approval is not None and approval.status == "approved"

    def _find_culprit(self, regression: Regression) -> None:
        suspects = [landing.commit for landing in regression.suspects]
        probes = [
            canary_policy.Probe(commit, "culprit", run.verdict, run.reason, run.flow)  # type: ignore[arg-type]
            for commit, runs in regression.probes.items()
            for run in runs
        ]
        step = canary_policy.culprit(suspects, probes)
        if isinstance(step, canary_policy.Next):
            self._probe(step.commit, regression.commit, "culprit", len(probes))
        elif isinstance(step, canary_policy.Nobody):
            self._record("culprit_unresolved", "", regression.commit, commit=regression.commit, reason=step.reason)
        elif len(step.commits) == 1:
            landing = next(landing for landing in regression.suspects if landing.commit == step.commits[0])
            evidence = [f"canary flow {regression.flow} was red after it landed as {landing.commit[:12]}: {regression.reason}"]
            self._record("culprit_found", landing.order, regression.commit, commit=landing.commit, change=landing.change,
                         range=list(step.commits), probability=step.probability)  # fmt: skip
            if landing.order:
                self._record("change_reverted", landing.order, regression.commit, change=landing.change, commit=landing.commit, evidence=evidence)
        else:
            self._record("culprit_unresolved", "", regression.commit, commit=regression.commit,
                         reason=f"one of {', '.join(c[:12] for c in step.commits)} is the culprit", range=list(step.commits))  # fmt: skip

    # -- the end -------------------------------------------------------------------------------------------------

    def _health(self) -> None:
        state = self.state
        base = state.base_verdict()
        if state.unproven and base is not None and base.result == "green":
            if not self.settings.canary.flow or state.last_good == state.main:
                self._record("people_proved", "", state.main, commits=list(state.unproven))

    def _one_mover(self) -> None:
        """Restore before adopt before land; and records first, because they change what is wanted."""
        movers = [action for action in self.actions if isinstance(action, MOVERS)]
        if len(movers) > 1:
            rank: list[type[Action]] = [Restore, Adopt, Land]
            first = min(movers, key=lambda action: rank.index(type(action)))
            self.actions = [action for action in self.actions if not isinstance(action, MOVERS) or action is first]
