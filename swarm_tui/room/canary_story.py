"""A judgement of the canary as one story, top to bottom: landed, run, judged, put back, searched, mended. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.models.event import Event
from engine.text.sanitise import sanitise_line
from swarm_tui.room import words
from swarm_tui.room.comparison import moved

if TYPE_CHECKING:
    from engine.history import Move
    from engine.state import Regression, State

KINDS = frozenset(
    {
        "change_landed", "commits_adopted", "canary_started", "canary_finished", "canary_judged", "landing_frozen",
        "landing_thawed", "approval_asked", "approval_answered", "main_restored", "culprit_found", "culprit_unresolved",
        "change_reverted", "work_order_added", "bug_not_filed", "work_order_healthy",
    }
)  # fmt: skip
"""Events that a story may be told of."""
PURPOSES = {"first": "run", "rerun": "again", "control": "control", "culprit": "suspect", "compare": "samples"}
SHORT = 10


@dataclass(frozen=True)
class Beat:
    """One sentence of the story, clean, with its time in UTC seconds. `order`: the work order that it is about."""

    at: float
    glyph: str
    text: str
    tone: str = "plain"
    order: str = ""


@dataclass
class _Telling:
    about: str
    orders: dict[str, str]
    """Work order, or what else it was, by commit."""
    moves: Sequence[Move]
    beats: list[Beat] = field(default_factory=list[Beat])
    running: dict[tuple[str, str], Beat] = field(default_factory=dict[tuple[str, str], Beat])
    frozen: bool = False
    searching: bool = False
    culprit: str = ""
    approval: str = ""
    reason: str = ""
    """The reason that was told last: it is not told twice."""
    gone: list[str] = field(default_factory=list[str])
    watched: set[str] = field(default_factory=set[str])
    """Orders whose way back to main belongs to the story."""

    def say(self, event: Event, glyph: str, text: str, tone: str = "plain", order: str = "") -> None:
        self.beats.append(Beat(event.at, glyph, sanitise_line(text), tone, order))

    def why(self, reason: str) -> str:
        """A reason behind a colon, as far as it was not told before."""
        before, self.reason = self.reason, reason or self.reason
        if not reason:
            return ""
        if before and reason.startswith(before):
            return f", for the same reason{reason.removeprefix(before)}"
        return f": {reason}"

    def named(self, commit: str) -> str:
        return f"{commit[:SHORT]} ({self.orders.get(commit, 'first commit')})"


def story_of(events: Iterable[Event], about: str, moves: Sequence[Move]) -> list[Beat]:
    """The story of the judgement on the commit `about`; `events` in order, those that do not belong to it are passed
    over. What runs now comes last."""
    telling = _Telling(about, {move.commit: move.order or move.kind for move in moves}, moves)
    for event in events:
        take = _TAKE.get(event.kind)
        if take is not None:
            take(telling, event, event.fields)
    return [*telling.beats, *telling.running.values()]


Fields = dict[str, Any]


def _landed(t: _Telling, event: Event, f: Fields) -> None:
    if f["commit"] == t.about:
        t.say(
            event, "⬇", f"{event.work_order or 'a person'} landed as {f['commit'][:SHORT]}", "plain", event.work_order
        )
    elif event.work_order in t.watched:
        t.say(event, "⬇", f"{event.work_order} landed as {f['commit'][:SHORT]}", "good", event.work_order)


def _adopted(t: _Telling, event: Event, f: Fields) -> None:
    if t.about in (f["commit"], *f["commits"]):
        t.say(event, "⬇", f"a person's commit {t.about[:SHORT]} came onto main")


def _started(t: _Telling, event: Event, f: Fields) -> None:
    if f["about"] == t.about:
        text = f"{PURPOSES.get(f['purpose'], f['purpose'])} on {t.named(f['commit'])} is under way"
        t.running[f["commit"], f["purpose"]] = Beat(event.at, "▶", sanitise_line(text), "busy")


def _finished(t: _Telling, event: Event, f: Fields) -> None:
    if f["about"] != t.about:
        return
    t.running.pop((f["commit"], f["purpose"]), None)
    sign = words.sign(words.VERDICTS, f["verdict"])
    where = {"control": f" on last good {t.named(f['commit'])}", "culprit": f" {t.named(f['commit'])}"}
    why = t.why(f["reason"]) if f["verdict"] != "PASS" else ""
    purpose = PURPOSES.get(f["purpose"], f["purpose"])
    samples = f", {moved(f['metrics'])}" if f.get("metrics") and f["verdict"] == "PASS" else ""
    t.say(event, sign.glyph, f"{purpose}{where.get(f['purpose'], '')}: {sign.word}{samples}{why}", sign.tone)


def _judged(t: _Telling, event: Event, f: Fields) -> None:
    if f["commit"] == t.about:
        sign = words.sign(words.VERDICTS, f["verdict"])
        why = t.why(f["reason"])
        moved = ", so it is last good now" if f["verdict"] == "PASS" else ""
        t.say(event, sign.glyph, f"judged {sign.word}{' (flaky)' if f['flaky'] else ''}{moved}{why}", sign.tone)


def _frozen(t: _Telling, event: Event, f: Fields) -> None:
    if t.about[:12] in f["reason"] and not t.frozen:
        t.frozen = True
        t.say(event, "❄", "landing is frozen", "bad")


def _thawed(t: _Telling, event: Event, f: Fields) -> None:
    if t.frozen:
        t.frozen = False
        t.say(event, "·", f"landing goes on: {f['reason']}", "attention")


def _asked(t: _Telling, event: Event, f: Fields) -> None:
    if f["danger"] == "restore" and f.get("subject") == t.about:
        t.approval = f["approval"]
        t.say(event, "?", f"a person is asked: {f['title']} ({f['why']})", "attention")


def _answered(t: _Telling, event: Event, f: Fields) -> None:
    if t.approval and f["approval"] == t.approval:
        t.say(event, "·", f"{f['answer']} by {f['by']}", "attention")


def _restored(t: _Telling, event: Event, f: Fields) -> None:
    if f["commit"] == t.about:
        t.say(event, "↩", f"this commit put main back to {f['to'][:SHORT]}")
        return
    if f["red"] != t.about:
        return
    t.frozen, t.searching = False, True
    text = f"main was put back to last good {t.named(f['to'])} by one ordinary commit, {f['commit'][:SHORT]}"
    t.say(event, "↩", text, "good")
    t.gone = _taken_off(t.moves, f["to"], f["commit"])
    if t.gone:
        t.watched.update(order for order in t.gone if order)
        t.say(
            event, "≡", f"taken off main: {', '.join(order or 'a person' for order in t.gone)}; the culprit is searched"
        )


def _taken_off(moves: Sequence[Move], to: str, restore: str) -> list[str]:
    """Orders whose landings lay between last good and the restore, "" for a person's."""
    commits = [move.commit for move in moves]
    if restore not in commits:
        return []
    end = commits.index(restore)
    start = commits.index(to) + 1 if to in commits[:end] else 0
    return [move.order for move in moves[start:end] if move.kind in ("landed", "adopted")]


def _found(t: _Telling, event: Event, f: Fields) -> None:
    if not t.searching:
        return
    t.searching, t.culprit = False, f["commit"]
    who = event.work_order or "a person"
    t.watched.add(event.work_order)
    t.say(
        event, "◎", f"culprit: {who}, {f['commit'][:SHORT]} (probability {f['probability']:.3f})", "attention",
        event.work_order,
    )  # fmt: skip
    _freed(t, event)


def _freed(t: _Telling, event: Event) -> None:
    innocent = [order for order in t.gone if order and order != event.work_order]
    if innocent:
        t.say(event, "≡", f"innocent, and on the train again: {', '.join(innocent)}", "good")


def _unresolved(t: _Telling, event: Event, f: Fields) -> None:
    if f["commit"] == t.about:
        t.searching = False
        t.say(event, "◎", f"no culprit was found: {f['reason']}", "attention")
        if t.gone:
            t.say(event, "≡", f"all of them are on the train again: {', '.join(order for order in t.gone if order)}")


def _reverted(t: _Telling, event: Event, f: Fields) -> None:
    if f["commit"] == t.culprit:
        text = f"{event.work_order} is reverted; it goes back to ready with the canary's evidence"
        t.say(event, "↩", text, "attention", event.work_order)


def _bug(t: _Telling, event: Event, f: Fields) -> None:
    if f.get("regression") == t.about:
        t.watched.add(event.work_order)
        t.say(
            event, "+", f"bug work order {event.work_order}: {f['order'].get('title', '')}", "plain", event.work_order
        )


def _no_bug(t: _Telling, event: Event, f: Fields) -> None:
    if f["commit"] == t.about:
        t.say(event, "!", f"no bug work order was written: {f['reason']}", "attention")


def _healthy(t: _Telling, event: Event, f: Fields) -> None:
    if event.work_order in t.watched or f["commit"] == t.about:
        t.watched.discard(event.work_order)
        t.say(event, "♥", f"{event.work_order} is healthy", "good", event.work_order)


_TAKE: dict[str, Callable[[_Telling, Event, Fields], None]] = {
    "change_landed": _landed,
    "commits_adopted": _adopted,
    "canary_started": _started,
    "canary_finished": _finished,
    "canary_judged": _judged,
    "landing_frozen": _frozen,
    "landing_thawed": _thawed,
    "approval_asked": _asked,
    "approval_answered": _answered,
    "main_restored": _restored,
    "culprit_found": _found,
    "culprit_unresolved": _unresolved,
    "change_reverted": _reverted,
    "work_order_added": _bug,
    "bug_not_filed": _no_bug,
    "work_order_healthy": _healthy,
}


# -- the search, as it stands ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Suspect:
    """One landing that is searched. `said`: what its probes said, or that none was needed. `share`: the posterior that
    it did it."""

    commit: str
    order: str
    said: str
    tone: str
    next: bool
    share: float = 0.0


def suspects_of(state: State, about: str) -> list[Suspect]:
    """The suspects of a restored judgement in landing order; none when main was not put back."""
    regression = next((each for each in reversed(state.regressions) if each.commit == about), None)
    if regression is None:
        return []
    wanted, shares = _wanted(regression), _shares(state, regression)
    return [
        Suspect(
            landing.commit,
            landing.order,
            *_probed(regression, landing.commit, wanted == landing.commit),
            wanted == landing.commit,
            shares.get(landing.commit, 0.0),
        )
        for landing in regression.suspects
    ]


def _shares(state: State, regression: Regression) -> dict[str, float]:
    """The posterior of each suspect, as the search goes by it."""
    from engine import canary_policy  # not for the first paint

    if regression.slower:
        return {}
    record = state.flows.get(regression.flow)
    return canary_policy.suspicion(
        [landing.commit for landing in regression.suspects],
        [
            canary_policy.Probe(commit, run.purpose, run.verdict, run.reason, run.flow, run.flows)
            for commit, runs in regression.probes.items()
            for run in runs
        ],
        regression.good,
        flow=regression.flow,
        unbuilt=regression.reason.startswith(canary_policy.PACKAGE_FAILED),
        reds=record.reds if record else 0,
        runs=record.runs if record else 0,
    )


def _wanted(regression: Regression) -> str:
    """The commit that the search runs now."""
    return "" if regression.done else regression.running


def _probed(regression: Regression, commit: str, is_next: bool) -> tuple[str, str]:
    runs = regression.probes.get(commit, [])
    said = ", ".join(run.verdict for run in runs)
    if commit == regression.culprit:
        return f"culprit{': ' + said if said else ''}", "bad"
    if is_next:
        return f"{said + ', ' if said else ''}is run now", "busy"
    if not said:
        return ("no probe was needed" if regression.done else "not run yet"), "quiet"
    return said, "good" if all(run.verdict == "PASS" for run in runs) else "bad"
