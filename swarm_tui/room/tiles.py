"""The figures that answer, each in one look: how well does the swarm work, and is it getting better? Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.models.metrics import Metrics, Share
from swarm_tui.figures import UNKNOWN, duration_text, least, number, percent
from swarm_tui.room.words import amount
from swarm_tui.spent import at_least, sum_text

SAME = 0.05
"""Two halves that differ by less than this share are as good as each other."""
LEAST = 4
"""Cases that there must be before halves of them are compared."""

Point = tuple[float, float]


class Told(NamedTuple):
    """One figure: its `value`, what it is counted from or why it is unknown, and how its newer half compares.

    `tone` is of the trend: good, attention, or quiet.
    """

    name: str
    value: str
    note: str
    trend: str = ""
    tone: str = "quiet"


def tiles_of(m: Metrics) -> list[Told]:
    """All of them, the most telling first."""
    return [
        _lead(m),
        _deployments(m),
        _failures(m),
        _restores(m),
        _share("first pass", m.first_pass, "green at once", "no report has been signed yet"),
        _merged(m),
        _share("rework", m.rework, "needed more", "no work order is healthy yet"),
        _share("flake rate", m.flaky, "were flaky", "no canary has judged yet"),
        _reverts(m),
        _frozen(m),
        _cost(m),
        _tokens(m),
    ]


def _lead(m: Metrics) -> Told:
    spread = m.ready_to_healthy
    if not spread.count:
        return Told("lead time", UNKNOWN, "no work order is healthy yet")
    leads = [each.ready_to_healthy_s for each in m.series.leads if each.ready_to_healthy_s is not None]
    older, newer = _halves(leads)
    trend = compared(older, newer, duration_text, less_is_better=True)
    commit = duration_text(m.commit_to_healthy.median_s)
    value = duration_text(spread.median_s)
    return Told("lead time", value, f"p90 {duration_text(spread.p90_s)}, commit {commit}", *trend)


def _halves(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Medians of the older and of the newer half."""
    if len(values) < LEAST:
        return None, None
    half = len(values) // 2
    return statistics.median(values[:half]), statistics.median(values[-half:])


def _deployments(m: Metrics) -> Told:
    went = m.deployment
    if went.healthy_per_day is None:
        return Told("deployments a day", UNKNOWN, "the journal has no event yet")
    totals = [(each.t_s, float(each.healthy)) for each in m.series.progress]
    middle = total_at(totals, m.observed_s / 2)
    older, newer = (middle, went.healthy - middle) if went.healthy >= LEAST else (None, None)
    people = f", {went.landed_by_people} of people" if went.landed_by_people else ""
    note = f"{went.healthy} healthy, {went.landed} landed{people}"
    if not went.landed:
        note = "no change has landed yet"
    trend = compared(older, newer, lambda count: f"{count:.0f}", less_is_better=False)
    return Told("deployments a day", number(went.healthy_per_day, 1), note, *trend)


def _failures(m: Metrics) -> Told:
    failure = m.change_failure
    if failure.rate is None:
        why = "no canary has judged a landing" if m.deployment.landed else "no change has landed yet"
        return Told("change failure rate", UNKNOWN, why)
    landed = [(each.t_s, float(each.landed)) for each in m.series.progress]
    reverted = [(each.t_s, float(each.reverted)) for each in m.series.progress]
    trend = compared(*_rates(reverted, landed, m.observed_s), percent, less_is_better=True)
    unjudged = f", {failure.unjudged} unjudged" if failure.unjudged else ""
    return Told("change failure rate", percent(failure.rate), f"{failure.count} of {failure.of} broke main{unjudged}",
                *trend)  # fmt: skip


def _rates(part: Sequence[Point], whole: Sequence[Point], until_s: float) -> tuple[float | None, float | None]:
    """What one running total grew for one of the other, in the older and in the newer half of the time."""
    if not part or not whole:
        return None, None
    first, all_of_it = total_at(whole, until_s / 2), whole[-1][1]
    if min(first, all_of_it - first) < LEAST:
        return None, None
    begun = total_at(part, until_s / 2)
    return begun / first, (part[-1][1] - begun) / (all_of_it - first)


def total_at(points: Sequence[Point], t_s: float) -> float:
    """A running total at a time."""
    total = 0.0
    for at, value in points:
        if at > t_s:
            break
        total = value
    return total


def _restores(m: Metrics) -> Told:
    restore = m.time_to_restore
    red = "" if restore.open_s is None else f"main is red for {duration_text(restore.open_s)}"
    if not restore.count:
        never = "no canary has judged yet" if not m.flaky.of else "main was never red"
        return Told("time to restore", UNKNOWN, "nothing was restored yet" if red else never, red, "attention")
    note = f"p90 {duration_text(restore.p90_s)}, {_times(restore.count)}"
    return Told("time to restore", duration_text(restore.median_s), note, red, "attention")


def _merged(m: Metrics) -> Told:
    if m.merge_success.rate is None:
        return Told("merge success", UNKNOWN, "no change was proposed yet")
    flying = f", {m.in_flight} in flight" if m.in_flight else ""
    note = f"{m.merge_success.count} of {m.merge_success.of} landed{flying}"
    return Told("merge success", percent(m.merge_success.rate), note)


def _reverts(m: Metrics) -> Told:
    false = m.false_revert
    if false.rate is None:
        why = "no restore yet" if not false.taken_off else f"{false.taken_off} taken off, nobody judged"
        return Told("innocent reverts", UNKNOWN, why)
    return Told("innocent reverts", percent(false.rate), f"{false.count} of {false.of} taken off main")


def _frozen(m: Metrics) -> Told:
    frozen = m.frozen
    if not frozen.times:
        return Told("landing frozen", "never", "nothing held the train up")
    now = ("it is frozen now", "attention") if frozen.now else ("", "quiet")
    return Told("landing frozen", duration_text(frozen.frozen_s), _times(frozen.times), *now)


def _cost(m: Metrics) -> Told:
    effort, name = m.effort, "cost a landed change"
    if effort.cost is None:
        return Told(name, UNKNOWN, "no agent told a cost" if effort.runs else "no run has ended yet")
    if effort.cost_per_landed is None:
        return Told(
            name, UNKNOWN, f"nothing landed, {at_least(number(effort.cost, 2), effort.runs_without_cost)} spent"
        )
    spent = [(each.t_s, each.cost) for each in m.series.spent]
    trend = compared(*_spent(m, spent), lambda cost: number(cost, 2), less_is_better=True)
    spoken = sum_text(number(effort.cost, 2), runs=effort.runs, unknown=effort.runs_without_cost)
    said = spoken if effort.runs_without_cost else f"{spoken} in all"
    return Told(name, least(effort.cost_per_landed, effort.runs_without_cost, 2), said, *trend)


def _tokens(m: Metrics) -> Told:
    effort, name = m.effort, "tokens a landed change"
    if effort.tokens is None:
        return Told(name, UNKNOWN, "no agent told its tokens" if effort.runs else "no run has ended yet")
    if effort.tokens_per_landed is None:
        return Told(
            name, UNKNOWN, f"nothing landed, {at_least(number(effort.tokens), effort.runs_without_tokens)} used"
        )
    spent = [(each.t_s, float(each.tokens)) for each in m.series.spent]
    trend = compared(*_spent(m, spent), amount, less_is_better=True)
    spoken = sum_text(number(effort.tokens), runs=effort.runs, unknown=effort.runs_without_tokens)
    said = spoken if effort.runs_without_tokens else f"{spoken} in all"
    return Told(name, least(effort.tokens_per_landed, effort.runs_without_tokens), said, *trend)


def _spent(m: Metrics, spent: Sequence[Point]) -> tuple[float | None, float | None]:
    return _rates(spent, [(each.t_s, float(each.landed)) for each in m.series.progress], m.observed_s)


def _share(name: str, share: Share, what: str, why: str) -> Told:
    if share.rate is None:
        return Told(name, UNKNOWN, why)
    return Told(name, percent(share.rate), f"{share.count} of {share.of} {what}")


def _times(count: int) -> str:
    return ("never", "once", "twice")[count] if count < 3 else f"{count:,} times"


def compared(
    older: float | None, newer: float | None, text: Callable[[float], str], *, less_is_better: bool
) -> tuple[str, str]:
    """How the newer half of a night compares with the older one, in glyph and word, and its tone; "" if unknown."""
    if older is None or newer is None:
        return "", "quiet"
    if abs(newer - older) <= SAME * max(abs(older), abs(newer)):
        return f"= as before: {text(newer)}", "quiet"
    better = (newer < older) == less_is_better
    word = "▲ better" if better else "▼ worse"
    before, now = text(older), text(newer)
    unit = now.partition(" ")[2]
    if unit and before.endswith(f" {unit}") and " " not in unit:
        before = before.removesuffix(f" {unit}")  # once is enough, and fits
    return f"{word}: {before} → {now}", "good" if better else "attention"
