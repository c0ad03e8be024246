"""What the work order screen says, as lines: the head, the specification, the timeline, and what proves it. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.history import RunRecord
from engine.models.event import Event
from engine.models.report import GateResult, VerificationReport
from engine.models.roadmap import WorkOrder
from engine.planner.roles import contracts_of
from engine.remote_proposals import proposals
from engine.state import Order, Tally
from swarm_tui.phrases import Phrase, phrase
from swarm_tui.pull_requests import proposal_words
from swarm_tui.room import words
from swarm_tui.room.handoff_facts import handoff_facts
from swarm_tui.room.proof_facts import proof_lines
from swarm_tui.room.reports import ReadReport, command_line
from swarm_tui.room.room import Room
from swarm_tui.room.spending_facts import (
    order_budgets,
    pending_proposal,
    provider_waited_for,
    role_of,
    until_words,
)
from swarm_tui.spent import UNKNOWN, sum_text
from swarm_tui.widgets.prose import BLANK, Line, Span, line, paragraph, title

LABEL = 12
"""Cells of the labels before facts."""


@dataclass(frozen=True)
class Subject:
    """Something whose diff can be read: a change, or what a run left without one. `name` is drawn."""

    name: str
    change: str
    base: str
    head: str


def subjects_of(room: Room, order: str) -> list[Subject]:
    """Oldest first."""
    found: list[Subject] = []
    named: set[str] = set()
    for run in room.history.runs_of.get(order, []):
        record = room.history.runs[run]
        if record.kept and record.base:
            named.add(record.change)
            name = f"change {record.change}" if record.change else f"what {run} left; it is no change"
            found.append(Subject(name, record.change, record.base, record.kept))
    for change in room.history.changes_of.get(order, []):
        if change not in named and (known := room.state.changes.get(change)) is not None:
            found.append(Subject(f"change {change}", change, known.base, known.head))
    return found


def reports_of(room: Room, order: str) -> list[str]:
    """Digests of the reports on a work order's changes, oldest first."""
    history = room.history
    found = [digest for change in history.changes_of.get(order, []) for digest in history.reports_of.get(change, [])]
    return sorted(dict.fromkeys(found), key=lambda digest: history.reports[digest].at)


def landing_of(room: Room, order: str, change: str = "") -> str:
    """The commit of the newest landing of an order, or of one of its changes; "" when there is none."""
    moves = (move for move in reversed(room.history.moves) if move.kind == "landed" and move.order == order)
    return next((move.commit for move in moves if not change or move.change == change), "")


def at(seconds: float) -> str:
    """A moment of the night as a local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def fact(label: str, *parts: str | Span) -> Line:
    """A label and what there is to say."""
    return line(Span(f"{label:<{LABEL}}", "quiet"), *parts, hang=LABEL)


# -- head ----------------------------------------------------------------------------------------------------------


def head_lines(room: Room, ident: str, allowed: int) -> list[Line]:
    """`allowed`: attempts that an order may take, 0 when that is not known."""
    order = room.state.orders.get(ident)
    if order is None:
        return [line(Span(ident, "strong")), line(Span(gone_text(room, ident), "attention"))]
    sign = words.sign(words.PHASES, order.phase)
    lines = [line(Span(f"{sign.glyph} {sign.word}", sign.tone), "  ", Span(ident, "strong"), f"  {order.spec.title}")]
    facts = [attempts_text(order, allowed)]
    if order.since:
        facts.append(f"{order.phase} for {words.age(room.now - order.since)}")
    facts += _spent(room.state.spending.orders.get(ident), order)
    lines.append(line(Span("  ".join(facts), "quiet")))
    if order.phase == "parked" and order.why:
        lines.append(line(Span("why  ", "quiet"), Span(order.why, "attention")))
        here = Span("  (a)", "quiet") if order.approval else Span("")
        lines += [line(Span("do   ", "quiet"), order.do, here)] if order.do else []
    elif order.phase == "draft" and (asked := pending_proposal(room.state, order)):
        lines.append(line(Span(f"{order.proposed_by} proposes it; nothing is done for it yet", "attention")))
        lines.append(line(Span("do   ", "quiet"), f"swarm approve {asked} takes it on", Span("  (a)", "quiet")))
    elif provider := provider_waited_for(room.state, order):
        until = until_words(room.state.spending.providers[provider], room.now)
        lines.append(line(Span(f"waits for {provider}, whose limit is reached, until {until}", "attention")))
    elif order.phase in ("draft", "ready") and order.waits_for:
        lines.append(line(Span(f"waits for {', '.join(order.waits_for)}", "attention")))
    elif order.phase in ("rejected", "reverted") and order.feedback:
        lines.append(line(Span("why  ", "quiet"), Span(order.feedback[0], "attention")))
    found = proposals(room.state)
    if ident in found:
        request = found[ident]
        tone = "bad" if request and request.ci == "red" else "plain"
        url = Span(f"  {request.url}" if request else "", "quiet")
        lines.append(line(Span("remote  ", "quiet"), Span(proposal_words(request), tone), url, hang=8))
    return lines


def _spent(tally: Tally | None, order: Order) -> list[str]:
    """Tokens and cost of the runs that have ended, as far as they are known."""
    if tally is None or not tally.runs:
        return ["tokens unknown", "cost unknown"] if order.runs else []
    tokens = sum_text(f"{words.amount(order.tokens)} tokens", runs=tally.runs, unknown=tally.untold_tokens)
    cost = sum_text(f"{order.cost:.2f}", runs=tally.runs, unknown=tally.untold_cost)
    return ["tokens unknown" if tokens == UNKNOWN else tokens, f"cost {cost}"]


def gone_text(room: Room, ident: str) -> str:
    if ident in room.history.events_of:
        return "it is not on the roadmap any more; what happened to it is still here"
    if room.source.past_read < 1.0:
        return f"reading the past ({room.source.past_read:.0%}) …"
    return "this night knows no such work order"


def attempts_text(order: Order, allowed: int) -> str:
    of = f" of {allowed}" if allowed else ""
    more = f" ({order.attempts} in all)" if order.attempts > order.spent else ""
    return f"attempts used {order.spent}{of}{more}"


# -- specification -------------------------------------------------------------------------------------------------


def spec_lines(room: Room, ident: str, handoff: dict[str, Any]) -> list[Line]:
    """`handoff`: what stands in its newest handoff, as far as that is read."""
    order = room.state.orders.get(ident)
    if order is None:
        return [line(Span(gone_text(room, ident), "quiet"))]
    spec = order.spec
    lines = [title("Goal"), *(paragraph(spec.goal) if spec.goal else [line(Span("  no goal is written", "attention"))])]
    lines += _acceptance(spec)
    lines += _listed("Tests that must become green", spec.tests)
    lines += [BLANK, title("Scope"), *_scope(spec)]
    lines += _dependencies(room, spec)
    lines += _contracts(room, spec)
    lines += [BLANK, title("Terms"), *_terms(room, order)]
    lines += _listed("Tests it has to make steady", spec.steady)
    lines += _listed("Tests it may change", spec.tests_changed) + _listed("Tests it may remove", spec.tests_removed)
    lines += [BLANK, title("How to see the fault"), *paragraph("\n".join(spec.repro))] if spec.repro else []
    lines += [BLANK, title("How to take it back"), *paragraph(spec.rollback)] if spec.rollback else []
    return lines + _handed_in(room, ident, handoff)


def _acceptance(spec: WorkOrder) -> list[Line]:
    if not spec.acceptance:
        return []
    lines = [BLANK, title("Acceptance: red on base, green with the change")]
    for each in spec.acceptance:
        lines.append(line(Span("  "), Span(each.name, "strong"), f"  {command_line(each.run)}", hang=4))
    return lines


def _listed(heading: str, texts: Sequence[str]) -> list[Line]:
    return [BLANK, title(heading), *(line(f"  {text}", hang=4) for text in texts)] if texts else []


def _scope(spec: WorkOrder) -> list[Line]:
    rows = [("  may change", spec.allow), ("  may not", spec.deny), ("  touches", spec.touches)]
    lines = [line(Span(f"{label:<14}", "quiet"), "  ".join(globs), hang=14) for label, globs in rows if globs]
    return lines if spec.allow else [line(Span("  no scope is named", "quiet")), *lines]


def _dependencies(room: Room, spec: WorkOrder) -> list[Line]:
    if not spec.depends_on:
        return []
    lines = [BLANK, title("Depends on")]
    for name in spec.depends_on:
        order = room.state.orders.get(name)
        sign = words.sign(words.PHASES, order.phase) if order else words.Sign("?", "not on the roadmap", "attention")
        known = f"  {order.spec.title}" if order else ""
        lines.append(line(Span(f"  {sign.glyph} {sign.word:<10}", sign.tone), f"{name}{known}", hang=14))
    return lines


def _terms(room: Room, order: Order) -> list[Line]:
    spec = order.spec
    budgets = order_budgets(room.state, spec.id)
    rows = [
        ("kind", spec.kind),
        ("item", room.history.items.get(spec.item, spec.item)),
        ("role", role if (role := role_of(room.state, order)) != "implementer" else ""),
        ("priority", f"{spec.priority} (1 is first)"),
        ("gates", ", ".join(spec.gates) or "all gates for landing"),
        ("budget", ", ".join(f"{name} {value}" for name, value in spec.budget.items())),
        ("owner", spec.owner),
        ("needs", f"a sandbox with {', '.join(spec.needs_sandbox)}" if spec.needs_sandbox else ""),
        ("resolves", ", ".join(spec.resolves)),
        ("may spend", ", ".join(f"{row.used_words} of {row.most_words} {row.dimension}" for row in budgets)),
        ("written by", _writer(order)),
    ]
    return [line(Span(f"  {label:<{LABEL}}", "quiet"), text, hang=LABEL + 2) for label, text in rows if text]


def _writer(order: Order) -> str:
    if order.proposed_by:
        return f"{order.proposed_by}, which proposed it"
    if order.tests_for:
        return f"the swarm: its tests join {order.tests_for}"
    if order.spec.role != "implementer" and order.source == "swarm":
        return f"the swarm, for its {order.spec.role}"
    return "the swarm, after a red canary" if order.source == "swarm" else ""


def _contracts(room: Room, spec: WorkOrder) -> list[Line]:
    """The Design Contracts on main that it is held to."""
    found = contracts_of(room.state, spec)
    lines = [BLANK, title("Held to")] if found else []
    for order in found:
        lines.append(line(Span("  § contract ", "quiet"), f"{order.spec.id}  {order.spec.title}", hang=13))
        rules = [f"{rule.get('from', '?')} may not depend on {rule.get('may_not', '?')}" for rule in order.forbidden]
        lines += [line(Span(f"{'':13}{rule}", "quiet"), hang=13) for rule in rules]
    return lines


def handed_in_by(room: Room, ident: str) -> RunRecord | None:
    """The newest run that handed something in."""
    runs = (room.history.runs[run] for run in reversed(room.history.runs_of.get(ident, [])))
    return next((run for run in runs if run.handoff), None)


def _handed_in(room: Room, ident: str, handoff: dict[str, Any]) -> list[Line]:
    """What its newest handoff says; what the journal has of it until that is read."""
    run = handed_in_by(room, ident)
    if run is not None and (facts := handoff_facts(handoff, room.state)):
        by = f"{run.change or run.run}, by {run.agent}" + (f" as {run.role}" if run.role != "implementer" else "")
        return [BLANK, title(f"Handed in with {by}"), *facts]
    changes = room.history.changes_of.get(ident, [])
    change = room.state.changes.get(changes[-1]) if changes else None
    if change is None:
        return []
    lines = [BLANK, title(f"Handed in with {change.id}"), *paragraph(change.summary or "nothing was said")]
    rows = [("risk", change.risk), ("rollback", change.rollback)]
    return lines + [line(Span(f"  {name:<{LABEL}}", "quiet"), text, hang=LABEL + 2) for name, text in rows if text]


# -- timeline ------------------------------------------------------------------------------------------------------


def timeline_lines(order: str, events: Iterable[Event], left_out: int) -> list[Line]:
    lines = [line(Span(f"… {left_out} older events are in `swarm events`", "quiet"))] if left_out else []
    day = ""
    for event in events:
        said = phrase(event) or _own(event)
        if said is None:
            continue
        if (its_day := time.strftime("%Y-%m-%d", time.localtime(event.at))) != day:
            day = its_day
            lines.append(line(Span(day, "quiet")))
        about = "" if said.about == order else f"{said.about}: "
        text = Span(f"{about}{said.text}", said.tone)
        lines.append(line(Span(f"{at(event.at)} ", "quiet"), Span(f"{said.glyph} ", said.tone), text, hang=11))
        lines += [line(Span(f"{'':>11}{detail}", "quiet"), hang=11) for detail in _details(event)]
    return lines or [line(Span("nothing has happened to it yet", "quiet"))]


def _own(event: Event) -> Phrase | None:
    """Events that are worth a line where only one work order is told of."""
    return Phrase("·", event.work_order, "says of its change:", "quiet") if event.kind == "handoff_received" else None


def _details(event: Event) -> list[str]:
    """What a sentence leaves out."""
    if event.kind == "change_reverted":
        return [str(text) for text in event.fields.get("evidence", [])]
    if event.kind == "change_rejected":
        return [str(text) for text in event.fields.get("reasons", [])[1:]]
    return [str(event.fields["summary"])] if event.kind == "handoff_received" else []


# -- evidence ------------------------------------------------------------------------------------------------------


def evidence_lines(room: Room, order: str, digest: str, found: ReadReport | None, command: str) -> list[Line]:
    """One report in full, and one line for each of the others."""
    reports = reports_of(room, order)
    if digest not in reports:
        return [line(Span("no report is signed yet: nothing is proved", "quiet"))]
    record = room.history.reports[digest]
    sign = words.sign(words.GATES, record.result)
    count = f"report {reports.index(digest) + 1} of {len(reports)}"
    lines = [line(Span(f"{sign.glyph} {sign.word}", sign.tone), f"  {count}, signed at {at(record.at)}")]
    lines += _landed(room, order, record.change)
    lines += [fact("change", record.change), fact("tree", record.tree)]
    lines.append(fact("on", f"main {record.base_commit[:12]} (tree {record.base[:12]})"))
    lines.append(fact("report", digest))
    if found is None:
        lines.append(fact("signature", Span("checking …", "quiet")))
    elif found.problem:
        lines.append(fact("signature", Span(f"! not checked or not believed: {found.problem}", "bad")))
    else:
        lines.append(fact("signature", Span("✔ holds", "good")))
    if command:
        lines.append(fact("check it", Span(command, "strong"), Span("  (y copies)", "quiet")))
    if record.reasons:
        lines += [BLANK, title("Reasons"), *(line(f"  {reason}", hang=2) for reason in record.reasons)]
    if found is not None and found.report is not None:
        lines += report_lines(found.report)
    others = [each for each in reversed(reports) if each != digest]
    if others:
        lines += [BLANK, title("Other reports (o)"), *(_other(room, each) for each in others)]
    return lines


def _landed(room: Room, order: str, change: str) -> list[Line]:
    if not (commit := landing_of(room, order, change)):
        return [fact("landed", Span("no", "quiet"))]
    verdict = room.history.judged.get(commit, "")
    sign = words.sign(words.VERDICTS, verdict) if verdict else words.Sign("·", "not judged", "quiet")
    return [fact("landed", commit[:12], "  canary ", Span(f"{sign.glyph} {sign.word}", sign.tone))]


def _other(room: Room, digest: str) -> Line:
    record = room.history.reports[digest]
    sign = words.sign(words.GATES, record.result)
    about = f"{record.change}  {'; '.join(record.reasons)}"
    return line(Span(f"  {sign.glyph} {sign.word}  ", sign.tone), f"{at(record.at)}  {about}", hang=4)


def report_lines(report: VerificationReport) -> list[Line]:
    """What stands in a report that is believed."""
    lines = [BLANK, title("Gates")]
    for gate in report.gates:
        lines += _gate(gate)
    lines += [] if report.gates else [line(Span("  none ran", "attention"))]
    lines += proof_lines(report.proof)
    if report.guards:
        lines += [BLANK, title("Guards")]
    for guard in report.guards:
        sign = words.GATES["green" if guard.ok else "red"]
        why = f"{guard.reason} {' '.join(guard.paths)}".strip()
        word = "ok" if guard.ok else "denies"
        lines.append(line(Span(f"  {sign.glyph} {word:<7}", sign.tone), f"{guard.rule:<14}{why}", hang=11))
    lines += [BLANK, title("How it was seen")]
    sandbox = [Span(f"{name} {'✔' if holds else '✘ no'}  ", "plain" if holds else "attention")
               for name, holds in sorted(report.sandbox.items())]  # fmt: skip
    lines.append(fact("  sandbox", f"{report.sandbox_backend}  ", *sandbox))
    lines.append(fact("  flags", Span(", ".join(report.flags), "attention") if report.flags else Span("none", "quiet")))
    tools = ", ".join(f"{name} {version}" for name, version in report.toolchain.items())
    lines += [fact("  tools", tools)] if tools else []
    lines.append(fact("  policy", report.policy))
    if report.started_at:
        lines.append(fact("  seen", f"{report.started_at} to {report.finished_at}"))
    if report.reproduce:
        lines += [BLANK, title("Run the gates yourself"), *(line(f"  {row}", hang=4) for row in report.reproduce)]
    return lines


def _gate(gate: GateResult) -> list[Line]:
    sign = words.sign(words.GATES, gate.result)
    counts = f"{gate.passed} passed, {gate.failed} failed, {gate.skipped} skipped" if gate.executed else "no tests"
    cached = ", from the cache" if gate.cached else ""
    head = Span(f"  {sign.glyph} {sign.word:<8}", sign.tone)
    lines = [
        line(head, Span(f"{gate.name:<12}", "strong"), f"{counts}, {words.took(gate.duration_s)}{cached}", hang=12)
    ]
    for label, texts in (("failing", gate.failing), ("lost", gate.lost)):
        if texts:
            more = f" and {len(texts) - 10} more" if len(texts) > 10 else ""
            lines.append(line(Span(f"{'':>12}{label}  ", "quiet"), ", ".join(texts[:10]) + more, hang=14))
    if gate.reason and not gate.failing:
        lines.append(line(f"{'':>12}{gate.reason}", hang=12))
    return lines
