"""After a landing: canary runs and comparisons, restore, and the culprit."""

from __future__ import annotations

from engine import canary_policy
from engine.actions import (
    FileBug,
    Restore,
    RunCanary,
)
from engine.models.settings import Settings
from engine.planner.restoring import ask_about, why_ask
from engine.planner.wishes import Wishes
from engine.state import Canaried, CanaryRun, Regression

CANARY_BACKLOG = 2
"""More un-judged landings than this, and the newest is judged for all: deliberate coalescing."""
COMPARED_AFTER = 10
"""Landings whose samples were not compared, after which that does not wait for an empty train any more."""
SLOWER_RUNS = 2
"""Comparisons that have to say so before a change is taken back for being slower. Each one holds its own control."""


def canary(wishes: Wishes) -> None:
    """Judge what landed. A culprit search shares the canary with it, by turns; what has begun is finished."""
    state, settings = wishes.state, wishes.settings
    if not settings.judges:
        return
    target = _canary_target(wishes)
    if _is_searchs_turn(wishes, target):
        return
    last = state.canaries.get(state.last_good)
    if target is None or (last is not None and last.comparing):
        _compare_good(wishes)
        return
    known = state.canaries.get(target) or Canaried()
    probes = [_probe_of(target, run) for run in known.runs]
    probes += [_probe_of(state.last_good, run) for run in known.controls]
    step = canary_policy.confirm(target, state.last_good or None, probes)
    if isinstance(step, canary_policy.Next):
        _probe(wishes, step.commit, target, step.purpose, len(probes))
        return
    if step.verdict == "FAIL" and _is_last_goods_tree(wishes, target):
        reason = f"this very tree was green before, so the machine is to blame: {step.reason}"
        step = canary_policy.Judged("ENVIRONMENT", reason, flow=step.flow)
    elif step.verdict == "PASS" and (slower := _slower(wishes, target, known)) is not None:
        if isinstance(slower, canary_policy.Next):
            _probe(wishes, target, target, "compare", len(known.compares))
            return
        step = slower
    wishes.record(
        "canary_judged", "", target, commit=target, verdict=step.verdict, reason=step.reason, flaky=step.flaky,
        flow=step.flow,
    )  # fmt: skip


def _probe_of(commit: str, run: CanaryRun) -> canary_policy.Probe:
    return canary_policy.Probe(commit, run.purpose, run.verdict, run.reason, run.flow, run.flows)


def _is_last_goods_tree(wishes: Wishes, target: str) -> bool:
    state = wishes.state
    return any(landing.commit == target and landing.tree == state.last_good_tree for landing in state.landings)


def _is_searchs_turn(wishes: Wishes, target: str | None) -> bool:
    """Whether a culprit search has the canary: while a probe of it runs, when no landing waits, and after each
    judgement."""
    search = _open_search(wishes)
    if search is None or search.running:
        return search is not None
    return target is None or (target not in wishes.state.canaries and not wishes.state.searched)


def _open_search(wishes: Wishes) -> Regression | None:
    return next((regression for regression in wishes.state.regressions if not regression.done), None)


def _compare_good(wishes: Wishes) -> None:
    """Hold the samples of what is good now against those of what was good before, once nothing is about to land, or
    after many landings. What has begun is finished."""
    state = wishes.state
    known = state.canaries.get(state.last_good)
    if known is None or not known.comparing:
        busy = state.frozen or (state.queue() and len(state.uncompared) < COMPARED_AFTER)
        if busy or not state.compared or not state.last_good or not state.uncompared:
            return
        if not _compares(wishes.settings) and not _has_budget(wishes):
            return
    _probe(wishes, state.last_good, state.last_good, "compare", len(known.compares) if known else 0)


def _compares(settings: Settings, slower: str = "") -> bool:
    """Whether a flow takes samples (and what is slower is treated so)."""
    flows = [flow for flow in settings.canary.flow if slower in ("", flow.judge.slower)]
    return any(step.sample is not None for flow in flows for step in flow.steps)


def _has_budget(wishes: Wishes) -> bool:
    orders = (wishes.state.orders.get(landing.order) for landing in wishes.state.uncompared)
    return any(order is not None and order.spec.budget for order in orders)


def _slower(wishes: Wishes, target: str, known: Canaried) -> canary_policy.Judged | canary_policy.Next | None:
    """For flows that take back what is slower: the comparison that is wanted before `target` may count as good, or the
    verdict of two."""
    state = wishes.state
    if not state.last_good or target == state.last_good or not _compares(wishes.settings, "revert"):
        return None
    reverting = {flow.name for flow in wishes.settings.canary.flow if flow.judge.slower == "revert"}
    worse = [run for run in known.compares if any(run.flows.get(flow) == "FAIL" for flow in reverting)]
    if len(worse) < len(known.compares):
        return None
    if len(worse) < SLOWER_RUNS:
        return canary_policy.Next("compare", target)
    flow = next(flow for flow in sorted(reverting) if worse[-1].flows.get(flow) == "FAIL")
    return canary_policy.Judged("FAIL", f"{worse[-1].reason} (twice, each time beside last good)", flow=flow)


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
    search = _open_search(wishes)
    if search is not None and _is_searchs_turn(wishes, _canary_target(wishes)):
        _find_culprit(wishes, search)
    for regression in wishes.state.regressions:
        if regression.done and not regression.bug:
            _file_bug(wishes, regression)
    _freeze(wishes)


def _by_samples(wishes: Wishes, regression: Regression) -> bool:
    """Whether main was put back for what two comparisons said: then a run of the flow alone tells nothing of a
    suspect."""
    known = wishes.state.canaries.get(regression.commit)
    told = [run for run in known.compares if run.flows.get(regression.flow) == "FAIL"] if known is not None else []
    return not regression.slower and len(told) >= SLOWER_RUNS


def _file_bug(wishes: Wishes, regression: Regression) -> None:
    if regression.range and _by_samples(wishes, regression):
        reason = "its suspects are judged one by one, so nobody has to find out which it is"
        wishes.record("bug_not_filed", "", regression.commit, commit=regression.commit, reason=reason)
        return
    order = wishes.state.orders.get(regression.order)
    if order is not None and order.source == "swarm":
        reason = "the order was thought of by the swarm itself and tries again: bug orders of bug orders have no end"
        wishes.record("bug_not_filed", regression.order, regression.commit, commit=regression.commit, reason=reason)
        return
    effect = f"bug:{regression.commit}"
    if not wishes.attempt(effect, lambda key: FileBug(key, effect, regression.commit)):
        error = wishes.state.failures[effect].error
        wishes.record("bug_not_filed", regression.order, regression.commit, commit=regression.commit, reason=error)


def _freeze(wishes: Wishes) -> None:
    """Landing is frozen from the first red run on; what is not confirmed lets it go on, what is puts main back."""
    state = wishes.state
    red, doubted = _red_landing(wishes), _doubted(wishes)
    if red is not None:
        if not state.frozen or state.frozen_kind == "confirm":
            said = f"the canary is red on {red[:12]}: {state.canaries[red].reason}"
            wishes.record("landing_frozen", "", f"canary:{red}", reason=said, why="canary")
        elif state.frozen_kind in ("canary", "restore"):
            _restore(wishes, red)
    elif doubted is not None and not state.frozen:
        run = next(run for run in state.canaries[doubted].runs if run.verdict == "FAIL")
        said = f"the canary was red once on {doubted[:12]} and is asked again: {run.reason}"
        wishes.record("landing_frozen", "", f"confirm:{doubted}", reason=said, why="confirm")
    elif state.frozen_kind in ("canary", "restore"):
        wishes.record("landing_thawed", reason="a person's newer commit is judged first")
    elif doubted is None and state.frozen_kind == "confirm":
        wishes.record("landing_thawed", reason="the red was not confirmed")


def _doubted(wishes: Wishes) -> str | None:
    """The landing that was red once and is not judged yet."""
    state = wishes.state
    if not wishes.settings.judges:
        return None
    for landing in state.landings:
        known = state.canaries.get(landing.commit)
        if known is not None and not known.verdict and any(run.verdict == "FAIL" for run in known.runs):
            return landing.commit
    return None


def _restore(wishes: Wishes, red: str) -> None:
    """Put main back to last good; a person is asked first where he could mind, and where nothing is good yet."""
    state = wishes.state
    if not state.last_good:
        why = "no commit has passed the canary yet, so there is nothing to go back to"
        if ask_about(wishes, red, f"go on landing although main is red at {red[:12]}", why) == "approved":
            wishes.record("landing_thawed", "", red, reason="a person lets landing go on", commit=red)
        return
    if why := why_ask(wishes):
        answer = ask_about(wishes, red, f"put main back to {state.last_good[:12]}: it is red at {red[:12]}", why)
        if answer == "denied":
            wishes.record("landing_thawed", "", red, reason="a person leaves main as it is", commit=red)
        if answer != "approved":
            return
    effect = f"restore:{state.last_good[:16]}:{state.main[:16]}"
    tried = wishes.attempt(effect, lambda key: Restore(key, effect, state.last_good, red))
    if not tried and state.frozen_kind != "restore":
        said = f"main is red at {red[:12]} and cannot be put back: {state.failures[effect].error}"
        wishes.record("landing_frozen", "", red, reason=f"{said}; mend that, and start again", why="restore")


def _find_culprit(wishes: Wishes, regression: Regression) -> None:
    suspects = [landing.commit for landing in regression.suspects]
    probes = [_probe_of(commit, run) for commit, runs in regression.probes.items() for run in runs]
    if regression.running:
        _probe(wishes, regression.running, regression.commit, "culprit", len(probes))
        return
    if len(suspects) > 1 and _by_samples(wishes, regression):
        wishes.record(
            "culprit_unresolved", "", regression.commit, commit=regression.commit,
            reason="one of them is slower, and they land again one by one to tell which",
            range=suspects, probability=1.0,
        )  # fmt: skip
        return
    record = wishes.state.flows.get(regression.flow)
    step = canary_policy.culprit(
        suspects,
        probes,
        regression.good,
        flow=regression.flow,
        unbuilt=regression.reason.startswith(canary_policy.PACKAGE_FAILED),
        reds=record.reds if record else 0,
        runs=record.runs if record else 0,
    )
    if isinstance(step, canary_policy.Next):
        _probe(wishes, step.commit, regression.commit, "culprit", len(probes))
    elif isinstance(step, canary_policy.Nobody):
        wishes.record("culprit_unresolved", "", regression.commit, commit=regression.commit, reason=step.reason)
    elif len(step.commits) == 1:
        _accuse(wishes, regression, step)
    else:
        among = ", ".join(commit[:12] for commit in step.commits)
        wishes.record(
            "culprit_unresolved", "", regression.commit, commit=regression.commit,
            reason=f"one of {among} is the culprit", range=list(step.commits), probability=step.probability,
        )  # fmt: skip


def _accuse(wishes: Wishes, regression: Regression, found: canary_policy.Found) -> None:
    landing = next(landing for landing in regression.suspects if landing.commit == found.commit)
    wishes.record(
        "culprit_found", landing.order, regression.commit, commit=landing.commit, change=landing.change,
        range=list(found.commits), probability=found.probability,
    )  # fmt: skip
    if landing.order:
        seen = f"canary flow {regression.flow} was red after it landed as {landing.commit[:12]}: {regression.reason}"
        left = [f"what that run left, {name}: {digest}" for name, digest in regression.artifacts.items()]
        wishes.record(
            "change_reverted", landing.order, regression.commit, change=landing.change, commit=landing.commit,
            evidence=[seen, *left],
        )  # fmt: skip
