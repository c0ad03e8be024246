"""The train: guards, gates on the merged tree, and what lands."""

from __future__ import annotations

from engine.actions import CheckChange, GateTrial, Land
from engine.models.settings import Settings
from engine.planner.flakes import excused_for_good
from engine.planner.odds import as_trial, trials_of, wanted_trials
from engine.planner.roles import tests_come_first
from engine.planner.speculation import Trial
from engine.planner.wishes import Wishes, approval_id
from engine.review import names_risk
from engine.scope import matches
from engine.state import Change, Order, TrialRun

SPECULATIVE_NICE = 10
"""Of gates that may be for nothing. `engine.effects.priority` takes it back when what they assume has come true."""


def checks(wishes: Wishes) -> None:
    for change in wishes.state.changes.values():
        if change.status in ("proposed", "verifying") and not tests_come_first(wishes, change):
            effect = ":".join(["check", change.id, *sorted(set(change.waivers.values()))])
            if not wishes.attempt(effect, lambda key, c=change.id, e=effect: CheckChange(key, e, c)):
                wishes.park_failed(change.order, effect)


def train(wishes: Wishes) -> None:
    """What is proved lands, what is refuted is rejected, and the likeliest trials run. What waits for a person stands
    aside and holds nobody up."""
    if wishes.state.base_verdict() is None:
        return
    queue = [c for c in wishes.state.queue() if _gateable(wishes, c) and _allowed(wishes, c)]
    known = trials_of(wishes.state, queue, wishes.now)
    _settle(wishes, [trial for trial in known if not trial.assumed])
    slots = wishes.settings.limits.gate_slots
    tried = [
        _try(wishes, queue, known, wanted.trial)
        for wanted in wanted_trials(wishes.state, queue, known, wishes.settings, wishes.now)[:slots]
    ]
    _give_up_left(wishes, set(tried))


def _settle(wishes: Wishes, certain: list[TrialRun]) -> None:
    """Act on what was found on main as it is. Tests that flake can make a change red that is green in a group: what is
    proved lands."""
    proved = {name for trial in certain if trial.verdict and trial.verdict.result == "green" for name in trial.test}
    for trial in certain:
        verdict = trial.verdict
        if verdict is None:
            continue
        first = wishes.state.changes[trial.test[0]]
        if verdict.result == "green" and not any(_frozen_for(wishes, wishes.state.changes[c]) for c in trial.test):
            effect = f"land:{first.id}:{verdict.report[-16:]}"
            if not wishes.attempt(
                effect, lambda key, t=tuple(trial.test), e=effect, v=verdict: Land(key, e, t, v.report)
            ):
                wishes.park_failed(first.order, effect)
        elif verdict.result != "red" or len(trial.test) > 1 or first.id in proved:
            continue
        elif not excused_for_good(wishes, trial):
            wishes.record(
                "change_rejected",
                first.order,
                first.id,
                change=first.id,
                reasons=verdict.reasons,
                report=verdict.report,
                feedback=verdict.feedback,
            )


def _give_up_left(wishes: Wishes, tried: set[str]) -> None:
    """What an earlier engine had begun is gone on with where it is still wanted; of the rest nobody else would say
    that it has ended."""
    for trial in wishes.state.trials.values():
        if trial.verdict is None and trial.begun_at < wishes.state.started_at and trial.key not in tried:
            order = wishes.state.changes[trial.test[0]].order
            wishes.record("trial_ended", order, trial.key, trial=trial.key, why="superseded")


def _try(wishes: Wishes, queue: list[Change], known: list[TrialRun], trial: Trial) -> str:
    """The key of the run that goes on or begins; "" where it cannot."""
    going = next(
        (
            one
            for one in known
            if one.verdict is None and as_trial(one).tree == trial.tree and frozenset(one.test) == trial.test
        ),
        None,
    )
    order = [change.id for change in queue]
    test, assumed = (tuple(sorted(part, key=order.index)) for part in (trial.test, trial.landed))
    nice = 0 if trial.certain else SPECULATIVE_NICE
    effect = f"trial:{'+'.join((*assumed, '', *test))}@{wishes.state.main_tree[:16]}:{wishes.state.policy[-8:]}"
    if going is not None:
        wishes.actions.append(GateTrial(going.key, effect, tuple(going.test), tuple(going.assumed), nice))
        return going.key
    if not wishes.attempt(
        effect, lambda key: GateTrial(f"{key}.{wishes.state.trials_begun}", effect, test, assumed, nice)
    ):
        wishes.park_failed(wishes.state.changes[test[0]].order, effect)
    return ""


def _mends_main(wishes: Wishes, change: Change) -> bool:
    order = wishes.state.orders.get(change.order)
    return change.person or (order is not None and order.spec.kind == "fix")


def _gateable(wishes: Wishes, change: Change) -> bool:
    """While main's own gates are red, only what may mend them is tried."""
    base = wishes.state.base_verdict()
    return base is None or base.result == "green" or _mends_main(wishes, change)


def _frozen_for(wishes: Wishes, change: Change) -> bool:
    if change.golden and change.person:
        return False  # a red canary that a golden mends
    return bool(wishes.state.frozen) and not (wishes.state.frozen_kind == "gates" and _mends_main(wishes, change))


def _allowed(wishes: Wishes, change: Change) -> bool:
    """Whether nobody has to be asked, or a person has approved this very change. Asks, and acts on the answer."""
    order = wishes.state.orders.get(change.order)
    if not (danger := land_danger(change, order, wishes.settings)):
        return True
    ident = approval_id("land", change.id, change.tree, str(change.queued_seq))
    approval = wishes.state.approvals.get(ident)
    if approval is None:
        operation = {"argv": ["land", change.id], "tree": change.tree}
        wishes.ask(ident, "land", f"land {change.order}", danger, change.order, operation, change.id)
    elif approval.status == "denied":
        reason = "a person denied its landing" + (f": {approval.said}" if approval.said else "")
        wishes.record("change_rejected", change.order, change.id, change=change.id, reasons=[reason])
    elif approval.status == "expired" and order is not None:
        why = "nobody answered in time whether it may land"
        wishes.park(order, why, f"to be asked again: swarm retry {change.order}")
    return approval is not None and approval.status == "approved"


def land_danger(change: Change, order: Order | None, settings: Settings) -> str:
    """Why this change waits for a person before it lands, or "" if it does not."""
    merge = settings.merge
    if change.person:
        return ""
    if not merge.auto:
        return "the settings say merge.auto = false"
    asked = merge.ask_if.paths
    if asked and (touched := next((path for path in change.paths if matches(path, asked)), "")):
        return f"it touches {touched}"
    if order is not None and order.spec.kind in merge.ask_if.kinds:
        return f"it is of kind {order.spec.kind}"
    if word := names_risk(change.risk, merge.ask_if.risk):
        return f"its risk is {word}"
    if 0 < merge.ask_if.files < len(change.paths):
        return f"it changes {len(change.paths)} files"
    if 0 < merge.ask_if.lines < change.lines:
        return f"it changes {change.lines} lines"
    return ""
