"""What canary runs say, as text: the two lines above the canary screen, a flow's samples and its golden. Pure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.golden_state import pending
from swarm_tui.room import words
from swarm_tui.room.canary_files import FlowFiles
from swarm_tui.room.canary_story import Beat, Suspect, suspects_of
from swarm_tui.widgets.canary import sparkline
from swarm_tui.widgets.prose import BLANK, Line, Span, line, title

if TYPE_CHECKING:
    from engine.flow_health import FlowRecord
    from engine.history import CanaryRecord
    from engine.state import State
    from swarm_tui.room.pulse import Pulse
    from swarm_tui.room.room import Room

SHORT = 10
TREND_RUNS = 40
BARS = 24
BELIEF = 6
LAST_RUNS = 20
COMPARED = ("first", "control")
Row = Mapping[str, Any]


def at(seconds: float) -> str:
    """A time of the night, as the clock on the wall has it."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def judgements(canaries: Sequence[CanaryRecord]) -> list[str]:
    """The judged commits, in the order in which their first runs began."""
    return list(dict.fromkeys(canary.about for canary in canaries))


def runs_of(canaries: Sequence[CanaryRecord], about: str) -> list[int]:
    """Where the runs of one judgement stand among all, in order."""
    return [number for number, canary in enumerate(canaries) if canary.about == about]


def order_of(room: Room, commit: str) -> str:
    """The work order that brought a commit onto main; "" for a person's, a restore, the first commit."""
    return next((move.order for move in reversed(room.history.moves) if move.commit == commit), "")


def whose(room: Room, commit: str) -> str:
    """Who or what brought a commit onto main, in a word."""
    move = next((move for move in reversed(room.history.moves) if move.commit == commit), None)
    if move is None:
        return "the first commit"
    return move.order or {"restored": "a restore", "adopted": "a person"}.get(move.kind, "a person")


def head_of(room: Room, about: str) -> list[Line]:
    """The verdict on the judged commit, and where the night stands."""
    if not about:
        return [line(Span("no canary has run yet", "quiet")), _where(room, about)]
    known = room.state.canaries.get(about)
    verdict = (known.verdict if known else "") or room.history.judged.get(about, "")
    runs = [canary for canary in room.history.canaries if canary.about == about]
    sign = words.sign(words.VERDICTS, verdict)
    word = sign.word if verdict else "being judged" if any(not run.verdict for run in runs) else "not judged yet"
    flags = (
        f"{' · flaky' if known.flaky else ''}{' · a person lets it be red' if known.waived else ''}" if known else ""
    )
    ended = max((run.ended_at for run in runs), default=0.0)
    when = f" at {at(ended)}" if verdict and ended else ""
    text = f"{sign.glyph} {word}{when} · commit {about[:SHORT]} of {whose(room, about)}{flags}"
    return [line(Span(text, sign.tone)), _where(room, about)]


def _where(room: Room, about: str) -> Line:
    state = room.state
    good = f"last good {state.last_good[:SHORT]}" if state.last_good else "last good unknown"
    good += " (this one)" if state.last_good and state.last_good == about else ""
    tip = "main is there" if state.main == state.last_good else f"main is at {state.main[:SHORT] or 'nothing'}"
    past = _past(room)
    if state.frozen:
        frozen = Span(f"❄ landing is frozen: {state.frozen}", "attention")
        return line(Span(f"♥ {good} · {tip} · ", "quiet"), frozen, Span(past, "quiet"))
    return line(Span(f"♥ {good} · {tip} · landing is open{past}", "quiet"))


def _past(room: Room) -> str:
    """How long landing was frozen and how often main was put back, until now, and the goldens that wait."""
    state = room.state
    frozen_s = state.frozen_s + (max(0.0, room.now - state.frozen_at) if state.frozen else 0.0)
    waiting = len(pending(state.goldens.values()))
    parts = [
        f"frozen {words.took(frozen_s, still=bool(state.frozen))} in all" if state.freezes else "",
        f"put back {_times(len(state.restores_at))}" if state.restores_at else "",
        f"{_many(waiting, 'golden')} wait{'s' * (waiting == 1)} (D)" if waiting else "",
    ]
    return "".join(f" · {part}" for part in parts if part)


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


# -- the story -------------------------------------------------------------------------------------------------------


def story_lines(beats: Sequence[Beat], state: State, about: str) -> list[Line]:
    """The story with its times, and the search as it stands: above it while it goes on."""
    lines = [
        line(Span(f"{at(beat.at)} ", "quiet"), Span(f"{beat.glyph} ", beat.tone), Span(beat.text, _tone(beat)), hang=11)
        for beat in beats
    ]
    if suspects := suspects_of(state, about):
        belief = [title("Suspects, in landing order"), *map(_suspect_line, suspects), *_nobody_line(suspects)]
        searching = any(not each.done and each.commit == about for each in state.regressions)
        lines = [*belief, BLANK, *lines] if searching else [*lines, BLANK, *belief]
    involved = dict.fromkeys(beat.order for beat in beats if beat.order)
    orders = [(order, state.orders[order].phase) for order in involved if order in state.orders]
    if orders:
        lines += [BLANK, title("Now")]
        for order, phase in orders:
            sign = words.sign(words.PHASES, phase)
            lines.append(line(Span(f"{sign.glyph} {sign.word:<10}", sign.tone), order, hang=12))
    return lines


def _suspect_line(one: Suspect) -> Line:
    lead = Span("▶ " if one.next else "  ", one.tone)
    share = Span(_share(one.share), "busy" if one.share < 0.5 else "attention")
    who = f" {one.order or 'a person'}: "
    return line(lead, share, Span(one.commit[:SHORT], "quiet"), who, Span(one.said, one.tone), hang=2)


def _nobody_line(suspects: Sequence[Suspect]) -> list[Line]:
    """What is left of the belief, where it is shared at all."""
    if len(suspects) < 2:
        return []
    nobody = max(0.0, 1 - sum(one.share for one in suspects))
    return [line("  ", Span(_share(nobody), "quiet"), Span("nobody: chance, or the machine", "quiet"), hang=2)]


def _share(posterior: float) -> str:
    return f"{words.bar(posterior, 1, BELIEF)} {min(posterior, 0.999):5.1%} "


def _tone(beat: Beat) -> str:
    return beat.tone if beat.tone in ("bad", "attention", "good") else "plain"


# -- a flow ----------------------------------------------------------------------------------------------------------


def samples_of(row: Row) -> dict[str, list[float]]:
    """Metric -> its values in one run of a flow."""
    found = row.get("samples")
    return {str(name): values for name, values in found.items() if values} if isinstance(found, dict) else {}


def row_of(run: CanaryRecord, flow: str) -> Row:
    """What a run's record says of one flow; empty when nothing."""
    return next((row for row in run.flows if row.get("flow") == flow), {})


def medians(canaries: Sequence[CanaryRecord], flow: str, metric: str) -> list[tuple[str, float]]:
    """(commit, median) of the last runs that were no repetitions, oldest first."""
    found: list[tuple[str, float]] = []
    for run in canaries[-400:]:
        values = samples_of(row_of(run, flow)).get(metric)
        if values and run.purpose == "first":
            found.append((run.commit, statistics.median(values)))
    return found[-TREND_RUNS:]


def good_samples(canaries: Sequence[CanaryRecord], number: int, flow: str, metric: str) -> tuple[str, list[float]]:
    """(commit, values) of the run that this one is held against: its control, or else the newest green run before it.

    ("", []) when there is none.
    """
    own = canaries[number]
    controls = [
        run for run in canaries if run.about == own.about and run.purpose == "control" and run.verdict == "PASS"
    ]
    before = [
        run
        for run in canaries[:number]
        if run.verdict == "PASS" and run.purpose in COMPARED and run.commit != own.commit
    ]
    for run in [*reversed(controls), *reversed(before)]:
        values = samples_of(row_of(run, flow)).get(metric)
        if values and run is not own:
            return run.commit, values
    return "", []


def flow_lines(
    canaries: Sequence[CanaryRecord], number: int, flow: str, files: FlowFiles | None, record: FlowRecord | None = None
) -> list[Line]:
    """Verdict, reason, the flow's last runs and how often it lies, and each sample against last good."""
    row = row_of(canaries[number], flow)
    sign = words.sign(words.VERDICTS, str(row.get("verdict", "")))
    took = f" in {float(row['duration_s']):.2f} s" if "duration_s" in row else ""
    lines = [
        line(Span(f"{sign.glyph} {sign.word}", sign.tone), f"{took}", hang=2),
        line(Span(str(row.get("reason", "")), "bad" if sign.tone == "bad" else "plain"), hang=2),
    ]
    lines += _health_lines(record)
    for metric, values in samples_of(row).items():
        lines += [BLANK, *_sample_lines(canaries, number, flow, metric, values, files)]
    if not samples_of(row):
        lines += [BLANK, line(Span("this flow takes no samples", "quiet"))]
    if files is not None and files.flow is not None:
        steps = len(files.flow.steps)
        lines += [
            BLANK,
            title("Definition"),
            line(f"{steps} steps, driver {files.flow.driver}, timeout {files.flow.timeout:g} s"),
        ]
        lines.append(line("starts ", Span(" ".join(files.flow.argv), "plain"), hang=7))
    return lines


def under_way(run: CanaryRecord, pulse: Pulse) -> str:
    """What a run does now, or why it ended without flows."""
    if run.verdict:
        why = f": {run.reason}" if run.reason else ""
        return f"{words.sign(words.VERDICTS, run.verdict).word}, no flow was run{why}"
    now = pulse.canaries.get(run.about)
    if now is None or not now.flow:
        return "it has just been started"
    steps = f", step {now.step} of {now.steps}" if now.steps else f", {now.doing}"
    return f"flow {now.flow}, {now.number} of {now.flows}{steps}"


def _health_lines(record: FlowRecord | None) -> list[Line]:
    if record is None or not record.newest:
        return []
    glyphs = [words.sign(words.VERDICTS, run.verdict) for run in record.newest[-LAST_RUNS:]]
    last = [Span(sign.glyph, sign.tone) for sign in glyphs]
    lies = f"red by chance: {record.rate:.1%} ({record.reds} of {record.runs} on good commits)"
    return [BLANK, line(Span("last runs  ", "quiet"), *last, hang=11), line(f"{'':<11}{lies}", hang=11)]


def _sample_lines(
    canaries: Sequence[CanaryRecord], number: int, flow: str, metric: str, values: Sequence[float],
    files: FlowFiles | None,
) -> list[Line]:  # fmt: skip
    defined = files.sample(metric) if files else None
    unit = f" {defined.unit}" if defined and defined.unit else ""
    commit, good = good_samples(canaries, number, flow, metric)
    both = max(*values, *good, 0) or 1.0
    better = f", {defined.better} is better" if defined else ""
    lines = [title(f"{metric}{unit and f' in{unit}'}{better}")]
    width = min(BARS, max(len(values), len(good)))
    lines.append(_laid("this run", values, both, width))
    if good:
        lines.append(_laid("last good", good, both, width))
        lines.append(line(f"{'':<11}{_ratio(values, good)} of {commit[:SHORT]}", hang=11))
    else:
        lines.append(line(Span("last good  ", "quiet"), "no green run to compare with", hang=11))
    trend = medians(canaries, flow, metric)
    if len(trend) > 1:
        own = canaries[number].commit
        place = next((len(trend) - at_ for at_, (each, _) in enumerate(trend) if each == own), 0)
        here = f", this commit {place} from the right" if place else ""
        lines.append(
            line(
                Span("over runs  ", "quiet"),
                Span(sparkline([value for _, value in trend], TREND_RUNS), "busy"),
                hang=11,
            )
        )
        lines.append(line(Span("           ", "quiet"), f"medians of {len(trend)} commits, oldest left{here}", hang=11))
    return lines


def _laid(name: str, values: Sequence[float], most: float, width: int) -> Line:
    low, high = min(values), max(values)
    said = f"median {statistics.median(values):.4g}, {low:.4g} to {high:.4g}, {_many(len(values), 'value')}"
    return line(Span(f"{name:<11}", "quiet"), Span(f"{_bars(values, most):<{width}}  ", "busy"), said, hang=11)


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _bars(values: Sequence[float], most: float) -> str:
    """Values as bars from nothing to `most`, so that two runs can be laid beside each other."""
    return sparkline([0.0, most, *values[:BARS]], BARS + 2)[2:]


def _ratio(values: Sequence[float], good: Sequence[float]) -> str:
    against = statistics.median(good)
    return f"{statistics.median(values) / against:.3g} times the median" if against else "the median was 0"


def golden_lines(files: FlowFiles, commit: str) -> list[Line]:
    """How the trace differs from the golden: event by event, then as the canary said it."""
    if not files.golden:
        lines = [line(Span("this flow has no golden trace: its steps alone decide", "quiet"))]
    elif files.difference or files.differing:
        lines = [
            line("- golden ", Span(files.golden, "strong"), f" in commit {commit[:SHORT]}", hang=2),
            line("+ what this run reported", hang=2),
        ]
        for each in files.differing:
            lines += [BLANK, title(f"Event {each.place} {each.kind}")]
            lines += [_diff(sign, text) for sign, text in each.rows]
        lines += [BLANK, title("As the canary said it")]
        lines += [_diff(row[:1], row[1:]) for row in files.difference.splitlines()]
    elif files.events:
        lines = [line(Span("✔ ", "good"), f"its {files.events} events are those of {files.golden}", hang=2)]
    else:
        lines = [line(Span("there is no trace to compare", "quiet"))]
    if files.proposed is not None:
        lines += [
            BLANK,
            title("If the program is right, and not the golden"),
            line(f"this run's trace as a new golden: {files.proposed}", hang=2),
        ]
    return [*lines, *note_lines(files)]


def note_lines(files: FlowFiles) -> list[Line]:
    """What is missing, in sentences."""
    return [BLANK, *(line(Span(f"! {note}", "attention"), hang=2) for note in files.notes)] if files.notes else []


def _diff(sign: str, text: str) -> Line:
    tone = {"-": "removed", "+": "added"}.get(sign, "quiet")
    return line(Span(f"{sign} {text.expandtabs(4)}", tone), hang=4)
