"""After a landing: canary runs, restore, and the culprit."""

from __future__ import annotations

from engine import canary_policy
from engine.actions import (
    FileBug,
    Restore,
    RunCanary,
)
from engine.planner.wishes import Wishes, approval_id
from engine.state import Regression

CANARY_BACKLOG = 2
"""More un-judged landings than this, and the newest is judged for all: deliberate coalescing."""


def canary(wishes: Wishes) -> None:
    state = wishes.state
    if not wishes.settings.canary.flow or any(not r.done for r in state.regressions):
        return
    target = _canary_target(wishes)
    if target is None:
        return
    known = state.canaries.get(target)
    probes = [canary_policy.Probe(target, r.purpose, r.verdict, r.reason, r.flow) for r in known.runs] if known else []
    if known:
        probes += [canary_policy.Probe(state.last_good, "control", r.verdict, r.reason, r.flow) for r in known.controls]
    step = canary_policy.confirm(target, state.last_good or None, probes)
    if isinstance(step, canary_policy.Judged):
        wishes.record(
            "canary_judged",
            "",
            target,
            commit=target,
            verdict=step.verdict,
            reason=step.reason,
            flaky=step.flaky,
            flow=step.flow,
        )
        return
    _probe(wishes, step.commit, target, step.purpose, len(probes))


def _canary_target(wishes: Wishes) -> str | None:
    state = wishes.state
    open_ = [
        landing.commit
        for landing in state.landings
        if landing.commit != state.last_good
        and (proved := state.verified.get(landing.tree)) is not None
        and proved.result == "green"
        and not (state.canaries.get(landing.commit) and state.canaries[landing.commit].verdict)
    ]
    if _red_landing(wishes) is not None or not open_:
        return None
    begun = next((commit for commit in open_ if commit in state.canaries), None)
    # Until something is good, the oldest comes first: a red main needs something to be put back to.
    in_turn = len(open_) <= CANARY_BACKLOG or not state.last_good
    return begun or (open_[0] if in_turn else open_[-1])


def _probe(wishes: Wishes, commit: str, about: str, purpose: str, nth: int) -> None:
    effect = f"canary:{about[:16]}:{purpose}:{commit[:16]}:{nth}"
    if not wishes.attempt(effect, lambda key: RunCanary(key, effect, commit, about, purpose)):
        error = wishes.state.failures[effect].error
        wishes.record(
            "canary_finished",
            "",
            effect,
            commit=commit,
            about=about,
            purpose=purpose,
            verdict="ENVIRONMENT",
            reason=f"the canary could not run: {error}",
            flow="",
        )


def _red_landing(wishes: Wishes) -> str | None:
    """The first landing since last good whose canary was judged FAIL, while it is still on main.

    What a person committed after it may be the cure: it is judged first.
    """
    state = wishes.state
    red: str | None = None
    for landing in state.landings:
        judged = state.canaries.get(landing.commit)
        if judged is not None and judged.verdict == "FAIL" and not judged.waived:
            red = red or landing.commit
        elif landing.kind == "person" and (judged is None or judged.verdict != "FAIL"):
            red = None
    return red


def regressions(wishes: Wishes) -> None:
    state = wishes.state
    for regression in state.regressions:
        if not regression.done:
            _find_culprit(wishes, regression)
        elif regression.culprit and not regression.bug:
            effect = f"bug:{regression.commit}"
            if not wishes.attempt(effect, lambda key, e=effect, c=regression.commit: FileBug(key, e, c)):
                wishes.record(
                    "bug_not_filed",
                    regression.order,
                    regression.commit,
                    commit=regression.commit,
                    reason=state.failures[effect].error,
                )
    red = _red_landing(wishes)
    if red is None:
        if state.frozen_kind in ("canary", "restore"):
            wishes.record("landing_thawed", reason="a person's newer commit is judged first")
        return
    if not state.frozen:
        judged = state.canaries[red]
        wishes.record("landing_frozen", reason=f"the canary is red on {red[:12]}: {judged.reason}", why="canary")
    elif state.frozen_kind == "canary":
        _restore(wishes, red)


def _restore(wishes: Wishes, red: str) -> None:
    """Put main back to last good; a person is asked first where he could mind, and where nothing is good yet."""
    state = wishes.state
    if not state.last_good:
        why = "no commit has passed the canary yet, so there is nothing to go back to"
        if _answer(wishes, red, f"go on landing although main is red at {red[:12]}", why) == "approved":
            wishes.record("landing_thawed", "", red, reason="a person lets landing go on", commit=red)
        return
    if why := _why_ask(wishes):
        answer = _answer(wishes, red, f"put main back to {state.last_good[:12]}: it is red at {red[:12]}", why)
        if answer == "denied":
            wishes.record("landing_thawed", "", red, reason="a person leaves main as it is", commit=red)
        if answer != "approved":
            return
    effect = f"restore:{state.last_good[:16]}:{state.main[:16]}"
    if not wishes.attempt(effect, lambda key: Restore(key, effect, state.last_good, red)):
        error = state.failures[effect].error
        wishes.record(
            "landing_frozen",
            "",
            red,
            reason=f"main is red at {red[:12]} and cannot be put back: {error}",
            why="restore",
        )


def _why_ask(wishes: Wishes) -> str:
    state = wishes.state
    if not canary_policy.may_restore(state.restores_at, wishes.now):
        return "main was restored too often within a day"
    if any(landing.kind == "person" and landing.commit != state.last_good for landing in state.landings):
        return "a person's commits have come since last good, and this takes them off main (they stay in its history)"
    return ""


def _answer(wishes: Wishes, red: str, title: str, why: str) -> str:
    """The answer to a question about this red main, which is asked again when nobody answered in time."""
    state = wishes.state
    asked = [a for a in state.approvals.values() if a.danger == "restore" and a.subject == red]
    current = [a for a in asked if a.operation["from"] == state.main and a.status != "expired"]
    if current:
        return current[-1].status
    operation = {"to": state.last_good, "from": state.main, "tree": state.last_good_tree}
    wishes.ask(approval_id("restore", red, state.main, str(len(asked))), "restore", title, why, "", operation, red)
    return "pending"


def _find_culprit(wishes: Wishes, regression: Regression) -> None:
    suspects = [landing.commit for landing in regression.suspects]
    probes = [
        canary_policy.Probe(commit, "culprit", run.verdict, run.reason, run.flow)
        for commit, runs in regression.probes.items()
        for run in runs
    ]
    step = canary_policy.culprit(suspects, probes, wishes.state.last_good or None)
    if isinstance(step, canary_policy.Next):
        _probe(wishes, step.commit, regression.commit, "culprit", len(probes))
    elif isinstance(step, canary_policy.Nobody):
        wishes.record("culprit_unresolved", "", regression.commit, commit=regression.commit, reason=step.reason)
    elif len(step.commits) == 1:
        landing = next(landing for landing in regression.suspects if landing.commit == step.commits[0])
        evidence = [
            f"canary flow {regression.flow} was red after it landed as {landing.commit[:12]}: {regression.reason}"
        ]
        wishes.record(
            "culprit_found",
            landing.order,
            regression.commit,
            commit=landing.commit,
            change=landing.change,
            range=list(step.commits),
            probability=step.probability,
        )
        if landing.order:
            wishes.record(
                "change_reverted",
                landing.order,
                regression.commit,
                change=landing.change,
                commit=landing.commit,
                evidence=evidence,
            )
    else:
        wishes.record(
            "culprit_unresolved",
            "",
            regression.commit,
            commit=regression.commit,
            reason=f"one of {', '.join(c[:12] for c in step.commits)} is the culprit",
            range=list(step.commits),
        )
