"""Events as one readable line each: a glyph, whom it is about, and a sentence. All text is sanitised here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.models.event import Event
from engine.status import BOOTSTRAP, LOW_DISK
from engine.text.sanitise import sanitise_line
from swarm_tui.pull_requests import state_words
from swarm_tui.room import words

Fields = dict[str, Any]

REASON_CHARS = 100
"""Of a red gate's reason; the rejection that follows has all of it."""


@dataclass(frozen=True)
class Phrase:
    """`tone`: good, bad, attention, quiet or plain. State is in the glyph and the words, colour only repeats it."""

    glyph: str
    about: str
    text: str
    tone: str = "plain"


def phrase(event: Event) -> Phrase | None:
    """The line for an event, or None for those that only the journal needs."""
    make = _PHRASES.get(event.kind)
    if make is None:
        return None
    made = make(event, event.fields)
    if made is None:
        return None
    about = sanitise_line(made.about or event.work_order or _person(event))
    return Phrase(made.glyph, about, sanitise_line(made.text), made.tone)


def _person(event: Event) -> str:
    return "a person" if str(event.fields.get("change", "")).startswith(("person/", "golden/")) else ""


def _short(commit: Any) -> str:
    return str(commit or "")[:10]


def _first(reasons: Any) -> str:
    found = [str(reason) for reason in reasons or []]
    more = f" (+{len(found) - 1} more)" if len(found) > 1 else ""
    return (found[0] if found else "no reason was given") + more


def _settings_read(_event: Event, f: Fields) -> Phrase | None:
    return Phrase("!", "settings", BOOTSTRAP, "attention") if f["bootstrap"] else None


def _as_role(role: str) -> str:
    return "" if role == "implementer" else f" as {role}"


def _run_finished(_event: Event, f: Fields) -> Phrase | None:
    result = f["result"]
    if result == "done":
        return Phrase("·", "", f"handed in after {f['duration_s']:.1f} s", "quiet")
    if result == "asked":
        return None
    kept = f"; its files are kept as {_short(f['kept'])}" if f.get("kept") else ""
    if result == "limit":
        return Phrase("‖", "", f"{f['reason']}; no attempt is lost{kept}", "attention")
    return Phrase("✘", "", f"run ended as {result}: {f['reason']}{kept}", "bad")


def _budget_used_up(_event: Event, f: Fields) -> Phrase:
    if not f["said"]:
        return Phrase("▶", "engine", "the budgets have room again", "plain")
    return Phrase("‖", "engine", "; ".join(f["said"]), "attention")


def _acceptance_checked(_event: Event, f: Fields) -> Phrase | None:
    if not f["ok"]:
        return None  # it is parked, and says why
    red = [command["name"] for command in f["commands"] if command["base"] == "red"]
    red += [test for test, state in f["tests"].items() if state != "passed"]
    return Phrase("·", "", f"red on main, as it should be: {_first(red)}", "quiet") if red else None


def _trial_started(e: Event, f: dict[str, Any]) -> Phrase | None:
    if not f["assumed"] and len(f["test"]) == 1:
        return None  # its gates say it
    beside = f" together with {len(f['test']) - 1} more" if len(f["test"]) > 1 else ""
    names = [name.removeprefix("agent/").rpartition("/")[0] or name for name in f["assumed"]]
    ahead = f", if {', '.join(names)} {'lands' if len(names) == 1 else 'land'} first" if names else ""
    return Phrase("≡", "", f"tried{beside}{ahead}", "quiet")


def _gate_finished(event: Event, f: Fields) -> Phrase | None:
    about = event.work_order or "main"
    if f["result"] == "green":
        counts = f" {f['passed']} passed" if f.get("executed") else ""
        how = "from cache" if f.get("cached") else f"{f['duration_s']:.1f} s"
        return Phrase("✔", about, f"gate {f['gate']} green,{counts} {how}", "quiet")
    reason = f["reason"] if len(f["reason"]) <= REASON_CHARS else f["reason"][: REASON_CHARS - 1] + "…"
    return Phrase("✘", about, f"gate {f['gate']} {f['result']}: {reason}", "bad")


def _report_signed(event: Event, f: Fields) -> Phrase | None:
    if f["result"] != "green" and f.get("change"):
        return None  # the rejection that follows says the same, with its reasons
    base = f"merged with main {_short(f['base_commit'])}" if f.get("change") else "main itself"
    tone = "plain" if f["result"] == "green" else "bad"
    text = f"report {f['result']} for tree {_short(f['tree'])} ({base}), signed as {f['report'][7:17]}"
    return Phrase("§", event.work_order or "main", text, tone)


def _canary_judged(_event: Event, f: Fields) -> Phrase:
    verdict = f["verdict"]
    flaky = " (flaky)" if f.get("flaky") else ""
    if verdict == "PASS":
        return Phrase("♥", "canary", f"PASS on {_short(f['commit'])}{flaky}: last good moves up", "good")
    return Phrase(
        "✘" if verdict == "FAIL" else "?", "canary", f"{verdict} on {_short(f['commit'])}: {f['reason']}", "bad"
    )


def _operation_words(f: Fields) -> str:
    ended = f"exit code {f['exit_code']}" if f["end"] == "exited" else str(f["end"])
    counts = [f"{f.get(word, 0)} {word}" for word in ("added", "changed", "deleted") if f.get(word)]
    return f"approval {f['approval']} is done: {ended}; files: {', '.join(counts) or f.get('note') or 'none differ'}"


_PURPOSES = {
    "first": "run",
    "rerun": "again",
    "control": "control on last good",
    "culprit": "suspect",
    "compare": "samples of",
}


def _canary_finished(_event: Event, f: Fields) -> Phrase | None:
    if f["purpose"] == "first" and f["verdict"] == "PASS":
        return None
    tone = "quiet" if f["verdict"] == "PASS" else "bad"
    why = f": {f['reason']}" if f["reason"] and f["verdict"] != "PASS" else ""
    return Phrase(
        "~", "canary", f"{_PURPOSES.get(f['purpose'], f['purpose'])} {_short(f['commit'])}: {f['verdict']}{why}", tone
    )


_PHRASES: dict[str, Callable[[Event, Fields], Phrase | None]] = {
    "engine_started": lambda e, f: Phrase("▶", "engine", f"started (epoch {f['epoch']})", "quiet"),
    "engine_stopped": lambda e, f: Phrase("■", "engine", f"stopped: {f['reason']}", "quiet"),
    "engine_paused": lambda e, f: Phrase("‖", "engine", "paused: no new runs start", "attention"),
    "engine_resumed": lambda e, f: Phrase("▶", "engine", "resumed", "plain"),
    "engine_draining": lambda e, f: Phrase("■", "engine", "finishing what runs; no new work is taken", "attention"),
    "roadmap_read": lambda e, f: Phrase(
        "·", "roadmap", f"read: {f['count']} work orders, {len(f['orders'])} of them new or changed", "quiet"
    ),
    "roadmap_refused": lambda e, f: Phrase(
        "!", "roadmap", f"not taken, the last valid one stays: {f['reason']}", "attention"
    ),
    "settings_read": _settings_read,
    "settings_refused": lambda e, f: Phrase(
        "!", "settings", f"not taken, the last valid ones stay: {f['reason']}", "attention"
    ),
    "work_order_added": lambda e, f: Phrase(
        "+", e.work_order, f"added: {f['order']['title']} (because {f['because']})", "attention"
    ),
    "acceptance_checked": _acceptance_checked,
    "run_started": lambda e, f: Phrase(
        "▶",
        "",
        f"attempt {f['attempt']} by {f['agent']}{_as_role(f['role'])} on main {_short(f['base'])}"
        + (f"; {f['given']}" if f.get("given") else ""),
    ),
    "run_finished": _run_finished,
    "run_interrupted": lambda e, f: Phrase("·", "", f"interrupted ({f['why']}); it will be run again", "attention"),
    "change_proposed": lambda e, f: Phrase("⇡", "", f"proposes {len(f['paths'])} files: {', '.join(f['paths'][:4])}"),
    "guardrail_denied": lambda e, f: Phrase("⛔", "", f"denied by {f['rule']}: {f['reason']}", "bad"),
    "change_rejected": lambda e, f: Phrase("✘", "", f"rejected: {_first(f['reasons'])}", "bad"),
    "trial_started": _trial_started,
    "trial_ended": lambda e, f: None,
    "gate_finished": _gate_finished,
    "report_signed": _report_signed,
    "change_landed": lambda e, f: Phrase("⬇", "", f"landed on main as {_short(f['commit'])}", "good"),
    "commits_adopted": lambda e, f: Phrase(
        "⬇", "a person", f"{len(f['commits'])} commit(s) on main, unproven until gated and canaried", "attention"
    ),
    "published": lambda e, f: (
        Phrase("⇡", "publish", f"the remote has {_short(f['commit'])}", "quiet") if f["to"] == "remote" else None
    ),
    "publish_pending": lambda e, f: Phrase("!", "publish", f"pending: {f['reason']}", "attention"),
    "remote_main_seen": lambda e, f: Phrase(
        "⬇", "a person", f"commits up to {_short(f['commit'])} on the remote's main are taken in", "attention"
    ),
    "pull_request_opened": lambda e, f: Phrase(
        "⇡", e.work_order or "publish", f"pull request #{f['number']} opened: {f['title']} ({f['url']})"
    ),
    "pull_request_updated": lambda e, f: Phrase(
        "⇡",
        e.work_order or "publish",
        f"pull request #{f['number']} is {state_words(f['status'], f['ci'])}",
        "bad" if f["ci"] == "red" else "good" if f["status"] == "merged" else "plain",
    ),
    "canary_finished": _canary_finished,
    "canary_judged": _canary_judged,
    "sample_crept": lambda e, f: Phrase("↗", "canary", f"{f['flow']}: {f['reason']}", "attention"),
    "golden_accepted": lambda e, f: Phrase("✔", "golden", f"{f['path']} accepted by {f['by']}", "attention"),
    "golden_rejected": lambda e, f: Phrase(
        "×", "golden", f"{f['path']} rejected by {f['by']}{': ' + f['why'] if f['why'] else ''}", "attention"
    ),
    "golden_proposed": lambda e, f: Phrase("⇡", e.work_order or "golden", f"proposes {', '.join(f['paths'][:4])}"),
    "golden_settled": lambda e, f: Phrase("·", "golden", f"main has it, at {_short(f['commit'])}", "quiet"),
    "landing_frozen": lambda e, f: Phrase("❄", "main", f"landing is frozen: {f['reason']}", "bad"),
    "landing_thawed": lambda e, f: Phrase("·", "main", f"landing goes on: {f['reason']}", "good"),
    "main_restored": lambda e, f: Phrase(
        "↩", "main", f"restored to {_short(f['to'])} by one ordinary commit {_short(f['commit'])}", "good"
    ),
    "culprit_found": lambda e, f: Phrase(
        "◎",
        "culprit",
        f"{e.work_order or 'a person'}: {_short(f['commit'])} (probability {f['probability']:.2f})",
        "attention",
    ),
    "culprit_unresolved": lambda e, f: Phrase("◎", "culprit", f"not found: {f['reason']}", "attention"),
    "change_reverted": lambda e, f: Phrase(
        "↩", "", "reverted; it goes back to ready with the canary's evidence", "attention"
    ),
    "work_order_parked": lambda e, f: Phrase("P", "", f"parked: {f['why']} → {f['do']}", "attention"),
    "work_order_healthy": lambda e, f: Phrase(
        "♥", "", "healthy" + (" (uncanaried: no flows)" if f.get("uncanaried") else ""), "good"
    ),
    "work_order_done": lambda e, f: Phrase("✔", "", f"done: {f['summary']}" if f["summary"] else "done", "good"),
    "tests_joined": lambda e, f: Phrase("+", "", f"the tests of {f['tests']} join its change", "plain"),
    "work_order_cancelled": lambda e, f: Phrase("×", "", f"cancelled by {f['by']}", "attention"),
    "test_quarantined": lambda e, f: Phrase(
        "!",
        "",
        f"{f['test']} flakes ({f['flakes']} of {f['runs']} runs on main): in quarantine until it is mended",
        "attention",
    ),
    "quarantine_lifted": lambda e, f: Phrase(
        "·",
        "",
        f"{f['test']} counts again: {'it is mended' if f['why'] == 'fixed' else 'nobody mended it in time'}",
        "good" if f["why"] == "fixed" else "attention",
    ),
    "people_proved": lambda e, f: Phrase("✔", "a person", f"{len(f['commits'])} commit(s) are proved now", "good"),
    "approval_asked": lambda e, f: Phrase(
        "?", e.work_order or "main", f"approval {f['approval']} wanted ({f['danger']}): {f['title']}", "attention"
    ),
    "approval_joined": lambda e, f: Phrase("?", "", f"wants the same as approval {f['approval']}", "attention"),
    "operation_started": lambda e, f: Phrase("▸", "", f"runs what approval {f['approval']} allows", "plain"),
    "operation_finished": lambda e, f: Phrase("·", "", _operation_words(f), "plain"),
    "change_reopened": lambda e, f: Phrase("↻", "", f"looked at again: approval {f['approval']} allows it", "plain"),
    "approval_answered": lambda e, f: Phrase(
        "·", e.work_order or "main", f"approval {f['approval']} {f['answer']} by {f['by']}", "plain"
    ),
    "effect_failed": lambda e, f: Phrase("!", "engine", f"{f['effect']} failed: {f['error']}", "attention"),
    "disk_checked": lambda e, f: Phrase(
        "!", "engine", LOW_DISK if f["low"] else "the disk has room again", "attention"
    ),
    "memory_checked": lambda e, f: Phrase(
        "!",
        "engine",
        "the memory has room for every run" if f["room"] is None else f"the memory has room for {f['room']} more runs",
        "attention" if f["room"] == 0 else "plain",
    ),
    "provider_paused": lambda e, f: Phrase(
        "‖",
        f.get("provider") or f["agent"],
        f"paused until {'a person resumes it' if f.get('asks') else words.moment(f['until'], e.at)}: {f['reason']}",
        "attention",
    ),
    "budget_used_up": _budget_used_up,
    "provider_resumed": lambda e, f: Phrase("▶", f["provider"], "its pause is over; one run tries it first", "plain"),
    "suspended": lambda e, f: Phrase("z", "engine", f"the machine slept for {f['gap_s']} s", "attention"),
}
