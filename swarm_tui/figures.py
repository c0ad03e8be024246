"""`swarm metrics`: how fast, how well and at what price the swarm works, for people and for scripts.

At most 80 columns wide and without colour, so that it reads the same on a terminal, in a file and in a mail.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.journal import JournalReader
from engine.lock import InstanceLock
from engine.metrics import Tally
from engine.models.metrics import Effort, FlakyTest, GateTime, Metrics, Share, Spread
from engine.text.sanitise import sanitise_line
from swarm_tui.place import find_folders
from swarm_tui.spent import UNKNOWN, at_least, sum_text

WIDTH = 80
LABEL = 24
SPARK = 20
RAMP = "▁▂▃▄▅▆▇█"
PLAIN_RAMP = "_.:-=+*#"
"""For terminals whose encoding has no blocks."""
MOST_FLAKY = 20
"""Flaky tests that are listed; `--json` has all of them."""


def print_metrics(repo: Path | None, state: Path | None, *, as_json: bool) -> None:
    """The figures of a repository's journal. Raises UserError if there is none.

    They run until now while an engine works, else until its last event: a recorded night reads the same for ever.
    """
    folders = find_folders(repo, state)
    reader = JournalReader(folders.journal)
    try:
        tally = Tally()
        for event in reader.events():
            tally.apply(event)
    finally:
        reader.close()
    running = InstanceLock(folders.lock).holder() is not None
    metrics = tally.figures(time.time() if running else 0.0)
    if as_json:
        sys.stdout.write(json.dumps(metrics.model_dump(mode="json"), indent=2) + "\n")
        return
    encoding = sys.stdout.encoding or "utf-8"
    text = "\n".join(lines_of(metrics, ramp=own_ramp())) + "\n"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def own_ramp() -> str:
    """What the standard output can show."""
    return RAMP if _can_show(RAMP, sys.stdout.encoding or "utf-8") else PLAIN_RAMP


def _can_show(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def lines_of(metrics: Metrics, *, ramp: str = RAMP) -> list[str]:
    """The figures as lines of at most 80 columns. `ramp`: characters of rising height for the sparklines."""
    if not metrics.since:
        return ["nothing has happened yet: the journal is empty"]
    when = f"{metrics.since[:16].replace('T', ' ')} to {metrics.until[:16].replace('T', ' ')} UTC"
    return [
        f"{when}, {duration_text(metrics.observed_s)}, {metrics.seq} events",
        *_delivery(metrics, ramp),
        *_quality(metrics),
        *_effort(metrics, ramp),
        *_gates(metrics.gates, ramp),
    ]


def sparkline(values: Sequence[float | None], width: int = SPARK, ramp: str = RAMP) -> str:
    """`values` from left to right in at most `width` characters; neighbours share one as their mean, None is a gap.

    Heights are relative to the largest value, and 0 is the lowest: what looks twice as high is twice as much.
    """
    shown = [_mean(values[start:end]) for start, end in _cuts(len(values), width)]
    most = max((value for value in shown if value is not None), default=0.0)
    return "".join(" " if value is None else ramp[_step(value, most, len(ramp))] for value in shown)


def _cuts(count: int, width: int) -> Iterable[tuple[int, int]]:
    columns = min(count, width)
    return ((count * at // columns, count * (at + 1) // columns) for at in range(columns))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _step(value: float, most: float, steps: int) -> int:
    return min(steps - 1, int(value / most * steps)) if most > 0 else 0


def over_time(points: Sequence[tuple[float, float]], until_s: float, width: int = SPARK) -> list[float]:
    """A running total as `width` values at even distances until `until_s`; `points` are (seconds, total), in order."""
    totals: list[float] = []
    at, total = 0, 0.0
    for column in range(1, width + 1):
        while at < len(points) and points[at][0] <= until_s * column / width:
            total = points[at][1]
            at += 1
        totals.append(total)
    return totals


def duration_text(seconds: float | None) -> str:
    """A duration with two units at most; `unknown` for None."""
    if seconds is None:
        return UNKNOWN
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} m" if hours < 24 else f"{hours // 24} d {hours % 24:02} h"


def share_text(share: Share) -> str:
    """As percent, with what it is counted from."""
    return f"{percent(share.rate)} ({share.count} of {share.of})" if share.of else UNKNOWN


def percent(rate: float | None) -> str:
    """A rate of 0 to 1; `unknown` for None."""
    return UNKNOWN if rate is None else f"{rate * 100:.0f} %"


def spread_text(spread: Spread) -> str:
    if not spread.count:
        return UNKNOWN
    return f"median {duration_text(spread.median_s)}, p90 {duration_text(spread.p90_s)}"


def number(value: float | None, digits: int = 0) -> str:
    """With thousands separated; `unknown` for None."""
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def _row(label: str, told: str, spark: str = "") -> str:
    left = f"  {_cell(label, LABEL)}  "
    fits = len(told) < WIDTH - LABEL - 4 - SPARK
    return f"{left}{told:<31} {spark}".rstrip() if spark and fits else f"{left}{told}"


def _cell(text: str, width: int) -> str:
    from rich.cells import set_cell_size

    return set_cell_size(sanitise_line(text), width)


def _delivery(m: Metrics, ramp: str) -> list[str]:
    series, went = m.series, m.deployment
    until = m.observed_s
    landed = sparkline(over_time([(p.t_s, p.landed) for p in series.progress], until), ramp=ramp)
    healthy = sparkline(over_time([(p.t_s, p.healthy) for p in series.progress], until), ramp=ramp)
    people = f", {went.landed_by_people} of people" if went.landed_by_people else ""
    bare = f" ({went.uncanaried} uncanaried)" if went.uncanaried else ""
    lines = [
        "",
        "Delivery",
        _row("landed", f"{went.landed}{people}", landed if went.landed else ""),
        _row("healthy", f"{went.healthy}{bare}", healthy if went.healthy else ""),
        _row("healthy a day", number(went.healthy_per_day, 1)),
    ]
    if len(series.healthy_per_bucket) > 1:
        each = "an hour" if series.bucket_s == 3600 else f"in {duration_text(series.bucket_s)}"
        lines.append(_row(f"healthy {each}", "", sparkline(series.healthy_per_bucket, ramp=ramp)))
    return [
        *lines,
        _row(
            "ready to healthy",
            spread_text(m.ready_to_healthy),
            sparkline([lead.ready_to_healthy_s for lead in series.leads], ramp=ramp),
        ),
        _row(
            "commit to healthy",
            spread_text(m.commit_to_healthy),
            sparkline([lead.commit_to_healthy_s for lead in series.leads], ramp=ramp),
        ),
        _row("proposed changes landed", share_text(m.merge_success) + _more(m.in_flight, "in flight")),
        _row("first report green", share_text(m.first_pass)),
        *(_row(f"  {kind}", share_text(each)) for kind, each in m.first_pass_by_kind.items()),
        _row("work orders reworked", share_text(m.rework)),
    ]


def _more(count: int, what: str) -> str:
    return f", {count} {what}" if count else ""


def _times(count: int) -> str:
    return ("", ", once", ", twice")[count] if count < 3 else f", {count:,} times"


def _quality(m: Metrics) -> list[str]:
    failure, restore, frozen = m.change_failure, m.time_to_restore, m.frozen
    failed = UNKNOWN if failure.rate is None else share_text(failure)
    restored = spread_text(restore) + _times(restore.count)
    red = [] if restore.open_s is None else [_row("red by now for", duration_text(restore.open_s))]
    froze = duration_text(frozen.frozen_s) + _times(frozen.times) + (", frozen now" if frozen.now else "")
    cleared = share_text(m.false_revert) + _more(m.false_revert.taken_off, "taken off main")
    return [
        "",
        "Main",
        _row("changes that broke it", failed + _more(failure.unjudged, "unjudged")),
        *([_row("red without a culprit", _times(failure.unresolved)[2:])] if failure.unresolved else []),
        _row("time to restore", restored),
        *red,
        _row("reverted though innocent", cleared),
        _row("landing frozen", froze),
        _row("flaky judgements", share_text(m.flaky)),
        *(_row(f"  {flow.flow}", f"{percent(flow.rate)} ({flow.flaky} of {flow.judged})") for flow in m.flows),
        *_flaky_tests(m.tests),
        _row("regression tests added", number(m.regression_tests_added)),
        _row("limitations resolved", limitations_text(m)),
    ]


def _flaky_tests(tests: Sequence[FlakyTest]) -> list[str]:
    if not tests:
        return []
    shown = tests[:MOST_FLAKY]
    more = [f"    {len(tests) - len(shown):,} more: --json has all of them"] if len(tests) > len(shown) else []
    rows = [_row(f"  {_name(each.test)}", flaky_text(each)) for each in shown]
    return [_row("tests that flake on main", f"{len(tests):,}"), *rows, *more]


def _name(test: str) -> str:
    """A test's own name: the end of its id, after its file."""
    return test.rpartition("::")[2]


def flaky_text(test: FlakyTest) -> str:
    kept = ", in quarantine" if test.quarantined else ""
    return f"{percent(test.rate)} ({test.flakes} of {test.runs} runs){kept}"


def limitations_text(m: Metrics) -> str:
    """How many known limitations are resolved with a test; `unknown` for a journal that says nothing of them."""
    if m.limitations_resolved_with_a_test is None:
        return UNKNOWN
    listed = "" if m.limitations_listed is None else f", {m.limitations_listed:,} listed"
    without = m.limitations_resolved_without_a_test
    return f"{m.limitations_resolved_with_a_test:,} with a test{_more(without or 0, 'without')}{listed}"


def _effort(m: Metrics, ramp: str) -> list[str]:
    told = m.effort
    spent = [(each.t_s, each.cost if told.cost else each.tokens) for each in m.series.spent]
    spark = sparkline(over_time(spent, m.observed_s), ramp=ramp) if spent else ""
    lines = [
        "",
        "Effort",
        _row("cost", sum_text(number(told.cost, 2), runs=told.runs, unknown=told.runs_without_cost), spark),
        _row("tokens", sum_text(number(told.tokens), runs=told.runs, unknown=told.runs_without_tokens)),
        _row("cost a landed change", least(told.cost_per_landed, told.runs_without_cost, 2)),
        _row("tokens a landed change", least(told.tokens_per_landed, told.runs_without_tokens)),
        _row("attempts a work order", number(told.attempts_per_work_order, 2)),
    ]
    if not m.by_role and not m.by_agent:
        return lines
    head = f"  {'':<20}{'runs':>6}{'orders':>8}{'attempts':>10}{'landed':>8}{'cost each':>11}{'tokens each':>13}"
    rows = [_effort_row("role", each) for each in m.by_role] + [_effort_row("agent", each) for each in m.by_agent]
    return [*lines, "", head, *rows]


def _effort_row(what: str, each: Effort) -> str:
    """`attempts`: a work order; `each`: a landed change."""
    return (
        f"  {_cell(f'{what} {each.name}', 20)}{each.runs:>6}{each.work_orders:>8}"
        f"{_short(each.attempts_per_work_order, 2):>10}{each.landed:>8}"
        f"{_least(each.cost_per_landed, each.runs_without_cost, 2):>11}"
        f"{_least(each.tokens_per_landed, each.runs_without_tokens, 0):>13}"
    )


def _short(value: float | None, digits: int) -> str:
    return "?" if value is None else number(value, digits)


def _least(value: float | None, unknown: int, digits: int) -> str:
    return "?" if value is None else least(value, unknown, digits)


def least(value: float | None, unknown: int, digits: int = 0) -> str:
    """A figure that lacks what `unknown` runs did not tell."""
    return UNKNOWN if value is None else at_least(number(value, digits), unknown)


def _gates(gates: Sequence[GateTime], ramp: str) -> list[str]:
    """Each gate with its part of all gate time as a bar."""
    if not gates:
        return []
    head = f"  {'gate':<16}{'runs':>6}{'cached':>8}{'median':>12}{'p90':>12}{'first pass':>12}  time"
    most = max(gate.total_s for gate in gates)
    rows = [
        f"  {_cell(gate.gate, 16)}{gate.count:>6}{gate.cached:>8}{_time(gate.median_s):>12}{_time(gate.p90_s):>12}"
        f"{'?' if gate.first_pass.rate is None else percent(gate.first_pass.rate):>12}  "
        f"{ramp[-1] * round(9 * gate.total_s / most) if most else ''}"
        for gate in gates
    ]
    total = duration_text(sum(gate.total_s for gate in gates))
    return ["", f"Gates ({total} in all)", head, *(row.rstrip() for row in rows)]


def _time(seconds: float | None) -> str:
    return "?" if seconds is None else duration_text(seconds)
