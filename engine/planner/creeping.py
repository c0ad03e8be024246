"""Slow creep: what got worse landing by landing is work for somebody, and never taken back."""

from __future__ import annotations

from collections.abc import Iterator

from engine.creep import crept
from engine.models.flow import Sample
from engine.models.settings import Settings
from engine.planner.wishes import Wishes


def creeping(wishes: Wishes) -> None:
    """Tell of a sample that crept; one at a time, and none while main is red or its culprit is searched."""
    state = wishes.state
    known = {regression.commit for regression in state.regressions}
    if state.frozen or not state.last_good or state.last_good in known:
        return
    if any(not regression.done for regression in state.regressions):
        return
    for flow, sample in _samples(wishes.settings):
        record = state.flows.get(flow)
        trend = record.trends.get(sample.name) if record is not None else None
        found = crept(tuple(trend.values), sample.better) if trend is not None else None
        if trend is None or found is None:
            continue
        since = trend.commits[found.index]
        figures = f"{found.before:.4g} → {found.after:.4g} {sample.unit}".rstrip()
        reason = f"{sample.name} got worse little by little: {figures}, about since {since[:12]} (p = {found.p:.2g})"
        wishes.record(
            "sample_crept", "", f"{flow}:{sample.name}:{state.last_good}", flow=flow, sample=sample.name,
            commit=state.last_good, since=since, before=found.before, after=found.after, p=found.p, reason=reason,
        )  # fmt: skip
        return


def _samples(settings: Settings) -> Iterator[tuple[str, Sample]]:
    for flow in settings.canary.flow:
        for step in flow.steps:
            if step.sample is not None:
                yield flow.name, step.sample
