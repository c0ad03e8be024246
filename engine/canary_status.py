"""The canary's health in the words of `Status`. Pure."""

from __future__ import annotations

from engine.models.event import utc_text
from engine.models.status import CanaryStatus, FlowRunStatus, FlowStatus
from engine.state import State


def canary_status(state: State, now: float) -> CanaryStatus:
    """`now`: UTC seconds."""
    going = max(0.0, now - state.frozen_at) if state.frozen else 0.0
    unjudged = [
        landing
        for landing in state.landings
        if landing.commit != state.last_good
        and not ((judged := state.canaries.get(landing.commit)) is not None and judged.verdict)
    ]
    return CanaryStatus(
        last_good=state.last_good,
        waiting=len(unjudged) if state.in_force.flows else 0,
        flows=[
            FlowStatus(
                flow=name,
                runs=record.runs,
                reds=record.reds,
                flake_rate=round(record.rate, 4),
                newest=[
                    FlowRunStatus(
                        commit=run.commit,
                        purpose=run.purpose,
                        verdict=run.verdict,
                        at=utc_text(run.at),
                        duration_s=run.duration_s,
                    )
                    for run in record.newest
                ],
                trends={sample: trend.values for sample, trend in record.trends.items()},
            )
            for name, record in sorted(state.flows.items())
        ],
        frozen=bool(state.frozen),
        frozen_s=round(state.frozen_s + going, 1),
        freezes=state.freezes,
        restores=len(state.restores_at),
        searching=next((each.commit for each in state.regressions if not each.done), ""),
    )
