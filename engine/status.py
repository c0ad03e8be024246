"""The state in the words of `Status`. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

from engine.canary_status import canary_status
from engine.golden_state import Golden, pending
from engine.models.event import utc_text
from engine.models.status import (
    ApprovalStatus,
    DenialStatus,
    GoldenStatus,
    Health,
    OrderStatus,
    ProviderStatus,
    PullRequestStatus,
    QuarantineStatus,
    RunStatus,
    SandboxStatus,
    Status,
)
from engine.providers import runs_of
from engine.remote_proposals import proposals
from engine.state import State, Tally
from engine.train_status import train_rows

BOOTSTRAP = "swarm.toml is not committed on main, so the gates of the working copy count: commit it"
LOW_MEMORY = "the machine has no memory for another run (limits.free_memory, limits.agent_memory): it waits"
LOW_DISK = "the disk has less free space than limits.free_disk, so no run starts: make room"


def health_of(state: State, has_flows: bool) -> tuple[Health, str]:
    """How main is, and why in one sentence. Green only when its very tree is proved and its canary passed."""
    if state.frozen:
        return "frozen", state.frozen
    judged = state.canaries.get(state.main)
    base = state.base_verdict()
    if judged is not None and judged.verdict == "FAIL":
        return "red", f"the canary failed: {judged.reason}"
    if base is None:
        return "unknown", "main's own tree has not been gated yet"
    if base.result != "green":
        return "red", "; ".join(base.reasons)
    if state.last_good == state.main or not has_flows:
        return "green", "gates are green" if not has_flows else "gates and canary are green"
    if judged is not None and judged.verdict:
        return "unknown", f"the canary says {judged.verdict}: {judged.reason}"
    return "unknown", "the canary has not judged main yet"


def status_of(state: State, now: float, *, running: bool, read_only: str = "") -> Status:
    """`now` in UTC seconds. `running`: whether an engine holds the lock. read_only: why nothing may run."""
    orders = state.orders.values()
    brought = {name: request.number for name, request in proposals(state).items() if request is not None}
    health, why = ("unknown", read_only) if read_only else health_of(state, state.in_force.flows > 0)
    return Status(
        main=state.main,
        health=health,
        why=why,
        last_good=state.last_good,
        published=state.published,
        publish_pending="; ".join(reason for reason in (state.publish_pending, state.remote.pending) if reason),
        remote_main=state.remote.main,
        pull_requests=[
            PullRequestStatus(
                number=r.number,
                url=r.url,
                title=r.title,
                work_order=r.order,
                branch=r.branch,
                commit=r.commit,
                state=r.status,
                ci=r.ci,
                work_orders=[name for name, number in brought.items() if number == r.number],
            )
            for r in state.remote.pull_requests.values()
        ],
        work_orders=dict(Counter(order.phase for order in orders)),
        orders=[
            OrderStatus(
                id=o.spec.id,
                title=o.spec.title,
                state=o.phase,
                attempts=o.attempts,
                why=o.why,
                do=o.do,
                pull_request=brought.get(o.spec.id),
            )
            for o in orders
        ],
        runs=[
            RunStatus(run=o.run, work_order=o.spec.id, agent=o.agent or state.in_force.implementer)
            for o in orders
            if o.phase == "running" and o.run
        ],
        train=train_rows(state),
        landed=sum(o.landed > 0 for o in orders),
        reverted=sum(o.reverts > 0 for o in orders),
        rejected=sum(o.rejections > 0 for o in orders),
        parked=sum(o.phase == "parked" for o in orders),
        approvals=[
            ApprovalStatus(
                id=a.id,
                danger=a.danger,
                title=a.title,
                why=a.why,
                work_order=a.order,
                expires_at=utc_text(a.expires_at),
            )
            for a in state.approvals.values()
            if a.status == "pending"
        ],
        canary=canary_status(state, now),
        goldens_pending=[golden_status(one) for one in pending(state.goldens.values())],
        unproven=list(state.unproven),
        quarantined=[
            QuarantineStatus(
                test=test,
                gate=record.gate,
                work_order=record.order,
                owner=record.owner,
                until=utc_text(record.until),
                flakes=record.flakes,
                runs=record.runs,
            )
            for test, record in state.flakes.items()
            if record.order and record.until > now
        ],
        cost=round(state.cost, 4),
        tokens=state.tokens,
        runs_ended=sum(tally.runs for tally in state.spending.orders.values()),
        runs_without_cost=sum(tally.untold_cost for tally in state.spending.orders.values()),
        runs_without_tokens=sum(tally.untold_tokens for tally in state.spending.orders.values()),
        duration_s=round(max(0.0, now - state.started_at), 1) if state.started_at else 0.0,
        running=running,
        paused=state.paused,
        read_only=read_only,
        problems=[*([read_only] if read_only else []), *problems_of(state)],
        budgets={
            "cost_per_night": state.in_force.cost_per_night,
            "cost_tonight": round(state.cost_tonight, 4),
            "tokens_per_work_order": state.in_force.tokens_per_work_order,
            "night": _tally(state.spending.night),
            "roles": {role: _tally(tally) for role, tally in state.spending.roles.items()},
            "used_up": list(state.spending.used_up),
            "held": {run: {"tokens": h.tokens, "cost": round(h.cost, 4)} for run, h in state.spending.held.items()},
        },
        providers=[
            ProviderStatus(
                provider=name,
                until="" if one.asks else utc_text(one.until),
                why=one.why,
                runs=runs_of(state.spending).get(name, 0),
            )
            for name, one in state.spending.providers.items()
            if one.paused
        ],
        sandbox=SandboxStatus(**state.sandbox),
        denied=dict(state.denied),
        denials=[
            DenialStatus(at=utc_text(d.at), rule=d.rule, work_order=d.order, run=d.run, reason=d.reason)
            for d in state.denials
        ],
        quotas=dict(state.in_force.quota),
    )


def _tally(tally: Tally) -> dict[str, float]:
    """For scripts; the untold are runs of which nobody said it."""
    return {each.name: round(getattr(tally, each.name), 4) for each in fields(tally)}


def golden_status(one: Golden) -> GoldenStatus:
    """A golden that waits, for scripts."""
    return GoldenStatus(
        id=one.id,
        path=one.path,
        flow=one.flow,
        commit=one.commit,
        work_order=one.order,
        since=utc_text(one.seen_at),
        digest=one.digest,
        difference=one.difference,
        new=not one.was,
        said=one.said,
        why=one.why,
    )


def spent_up(state: State) -> bool:
    """Whether a budget of the night, or of a role in it, lets something not start."""
    return bool(state.spending.used_up) or _cost_is_spent(state)


def _cost_is_spent(state: State) -> bool:
    most = state.in_force.cost_per_night
    return most > 0 and most + state.granted_tonight() <= state.cost_tonight


def problems_of(state: State) -> list[str]:
    """What a person has to mend, most urgent first, one sentence each."""
    allowed = state.in_force.cost_per_night + state.granted_tonight()
    spent = _cost_is_spent(state)
    asked = next((f"swarm approve {one.id}, " for one in state.more_tonight() if one.status == "pending"), "")
    found = [
        LOW_DISK if state.low_disk else "",
        f"tonight's {allowed:.2f} are spent: {asked}raise limits.cost_per_night, or start again" if spent else "",
        *state.spending.used_up,
        "paused, so no run starts: swarm resume" if state.paused else "",
        LOW_MEMORY if state.spending.memory_room == 0 else "",
        *(f"{name} is paused ({one.why}): swarm resume" for name, one in state.spending.providers.items() if one.asks),
        state.settings_error,
        state.roadmap_error,
        BOOTSTRAP if state.bootstrap else "",
    ]
    return [text for text in found if text]
