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
        and not (state.canaries.get(landing.commit) and state.canaries[landing.commit].verdict)
    ]
    if _red_landing(wishes) is not None or not open_:
        return None
    begun = next((commit for commit in open_ if commit in state.canaries), None)
    return begun or (open_[0] if len(open_) <= CANARY_BACKLOG else open_[-1])


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
    """The first landing since last good whose canary was judged FAIL, while it is still on main."""
    for landing in wishes.state.landings:
        judged = wishes.state.canaries.get(landing.commit)
        if judged is not None and judged.verdict == "FAIL":
            return landing.commit
    return None


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
        return
    if not state.frozen:
        judged = state.canaries[red]
        wishes.record("landing_frozen", reason=f"the canary is red on {red[:12]}: {judged.reason}", why="canary")
    elif state.frozen_kind == "canary":
        _restore(wishes, red)


def _restore(wishes: Wishes, red: str) -> None:
    state = wishes.state
    if not state.last_good:
        return _ask_restore(wishes, red, "no commit has passed the canary yet, so there is nothing to go back to")
    if not canary_policy.may_restore(state.restores_at, wishes.now):
        if not _approved_restore(wishes, red, "main was restored 4 times within a day"):
            return None
    elif any(landing.kind == "person" for landing in state.landings) and not _approved_restore(
        wishes, red, "a person's commits have come since last good, and restoring would take them off main"
    ):
        return None
    effect = f"restore:{state.last_good[:16]}:{state.main[:16]}"
    wishes.attempt(effect, lambda key: Restore(key, effect, state.last_good, red))
    return None


def _ask_restore(wishes: Wishes, red: str, why: str) -> None:
    ident = approval_id("restore", red, wishes.state.main)
    if ident not in wishes.state.approvals:
        operation = {
            "argv": ["restore", wishes.state.last_good or "nothing", "from", wishes.state.main],
            "tree": wishes.state.last_good_tree,
        }
        wishes.ask(ident, "restore", f"main is red at {red[:12]}", why, "", operation, red)


def _approved_restore(wishes: Wishes, red: str, why: str) -> bool:
    _ask_restore(wishes, red, why)
    approval = wishes.state.approvals.get(approval_id("restore", red, wishes.state.main))
    return approval is not None and approval.status == "approved"


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
