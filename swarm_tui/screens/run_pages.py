"""What the run screen says, as lines: the head, the handoff, what the agent got, and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from engine.history import RunRecord
from engine.models.status import SandboxStatus
from engine.models.usage import count, dollars
from swarm_tui.guarding import quota_words, sandbox_words
from swarm_tui.room import words
from swarm_tui.room.reports import command_line
from swarm_tui.room.room import Room
from swarm_tui.room.run_files import RunFiles, Said, as_readable
from swarm_tui.screens.order_pages import at, fact
from swarm_tui.spent import UNKNOWN
from swarm_tui.widgets.prose import BLANK, Line, Span, line, paragraph, title

MOST_LINES = 4_000
FIRST = ("abort", "summary", "risk", "rollback", "evidence", "argv", "why")
"""What stands first in a handoff or a question, where it is there."""


def head_lines(room: Room, ident: str) -> list[Line]:
    run = room.history.runs.get(ident)
    if run is None:
        return [line(Span(ident, "strong")), line(Span(unknown_text(room), "attention"))]
    sign = words.run_sign(run.result, run.reason)
    lines = [line(
        Span(f"{sign.glyph} {sign.word}", sign.tone), "  ", Span(ident, "strong"),
        f"  attempt {run.attempt} of {run.order}", Span(f"  {run.role} by {run.agent}", "quiet"),
    )]  # fmt: skip
    lines.append(line(Span("  ".join(_facts(room, run)), "quiet")))
    if run.reason:
        lines.append(line(Span("why  ", "quiet"), Span(run.reason, "attention")))
    if run.order not in room.state.orders:
        lines.append(line(Span(f"{run.order} is not on the roadmap any more", "quiet")))
    return lines


def _facts(room: Room, run: RunRecord) -> list[str]:
    pulse = room.pulse.runs.get(run.run)
    ended = run.ended_at or room.now
    facts = [f"began {at(run.started_at)}", f"took {words.took(ended - run.started_at)}"]
    if not run.result:
        facts[-1] = f"for {words.clock(ended - run.started_at)}"
        facts.append(f"memory {words.size(pulse.rss_bytes)}" if pulse and pulse.rss_bytes else "memory unknown")
    if run.result or run.tokens or run.cost:
        told = run.usage
        knows = (told.get("tokens_known", run.tokens > 0), told.get("cost_known", run.cost > 0))
        facts.append(f"{words.amount(run.tokens)} tokens" if knows[0] else "tokens unknown")
        facts.append(f"cost {run.cost:.2f}" if knows[1] else "cost unknown")
    return facts


def unknown_text(room: Room) -> str:
    if room.source.past_read < 1.0:
        return f"reading the past ({room.source.past_read:.0%}) …"
    return "this journal knows no such run; what lies in its folder is shown"


# -- what it gave --------------------------------------------------------------------------------------------------


def handoff_lines(run: RunRecord | None, taken: Said, files: RunFiles) -> list[Line]:
    """`taken`: the handoff that was taken, by its digest. What lies in the run's folder is shown when none was."""
    if run is not None and run.handoff:
        if taken.problem:
            return [fact("digest", run.handoff), line(Span(f"! {taken.problem}", "bad"), hang=2)]
        lines = [fact("digest", run.handoff)]
        lines += [fact("change", run.change)] if run.change else []
        return [*lines, BLANK, *_tabled(taken)]
    if files.ask.text:
        return [line(Span("it asks for an operation", "attention")), BLANK, *_tabled(files.ask), *_missing(files.ask)]
    if files.handoff.text:
        said = "it left this, and it was not taken" if run is None or run.result else "it left this; it still runs"
        return [line(Span(said, "attention")), BLANK, *_tabled(files.handoff), *_missing(files.handoff)]
    still = run is not None and not run.result
    return [line(Span("nothing is handed in yet: it still runs" if still else "it handed nothing in", "quiet"))]


def _tabled(said: Said) -> list[Line]:
    """A JSON object as headings with text below; anything else as it is."""
    table = said.table
    if not table:
        return _short(as_readable(said.text))
    lines: list[Line] = []
    first = [name for name in FIRST if name in table]
    for name in dict.fromkeys((*first, *table)):
        value = table[name]
        if value in ("", [], {}, None):
            continue
        lines += [title(str(name)), *_short(_readable(value), 2), BLANK]
    return lines[:MOST_LINES][:-1] or [line(Span("it says nothing", "quiet"))]


def _readable(value: Any) -> str:
    import json

    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in cast("list[Any]", value)):
        return "\n".join(cast("list[str]", value))
    return json.dumps(value, indent=2, ensure_ascii=False)


# -- what it got ---------------------------------------------------------------------------------------------------


def text_lines(said: Said, missing: str, *, as_json: bool = False) -> list[Line]:
    """A file for people. `missing`: what to say when it is not there."""
    if said.problem:
        return [line(Span(f"{missing} ({said.problem})", "quiet"), hang=2)]
    return [*_short(as_readable(said.text) if as_json else said.text), *_missing(said)]


def _short(text: str, indent: int = 0) -> list[Line]:
    """The first lines of a text, and how many more there are."""
    cut = text.strip("\n").count("\n") + 1 - MOST_LINES
    if cut <= 0:
        return paragraph(text, indent=indent)
    kept = "\n".join(text.strip("\n").split("\n", MOST_LINES)[:MOST_LINES])
    return [*paragraph(kept, indent=indent), line(Span(f"! {cut} more lines are not shown", "attention"))]


def _missing(said: Said) -> list[Line]:
    return [line(Span(f"! {said.note}", "attention"))] if said.note else []


def sandbox_lines(files: RunFiles, sandbox: Mapping[str, Any]) -> list[Line]:
    """What the process was, and what its sandbox let it do. sandbox: what the state says of it."""
    table = files.spec.table
    if not table:
        return text_lines(files.spec, "how its process was started is not known")
    lines = [
        title("Command"), line(f"  {command_line(_texts(table.get('argv')))}", hang=4),
        line(Span("  in ", "quiet"), str(table.get("cwd", "?")), hang=5), BLANK, title("What it may do"),
        *_hosts(table.get("hosts")),
        *_paths("  write", table.get("writable")), *_paths("  read", table.get("readable")),
    ]  # fmt: skip
    lines.append(fact("  env", "  ".join(_texts(table.get("env"))) or "none"))
    lines.append(
        fact("  time", f"{_seconds(table.get('wall_s'))} in all, {_seconds(table.get('idle_s'))} without output")
    )
    lines.append(fact("  ends", "with the engine" if table.get("leash") else "on its own: it may outlive the engine"))
    if isinstance(quotas := table.get("quota"), dict):
        counts = cast("dict[Any, Any]", quotas).items()
        lines.append(fact("  limits", quota_words({str(n): most for n, most in counts if isinstance(most, int)})))
    lines.append(BLANK)
    if sandbox:
        found = SandboxStatus.model_validate(sandbox)
        tone = "attention" if found.reason else "plain"
        lines += [title("The sandbox"), line(Span(f"  {sandbox_words(found)}", tone), hang=2)]
    lines.append(line(Span("What it guaranteed is in each report, too (evidence of its order)", "quiet")))
    return lines


def _hosts(hosts: Any) -> list[Line]:
    if not isinstance(hosts, list):
        return [fact("  hosts", Span("unknown", "attention"))]
    found = _texts(hosts)
    return [fact("" if number else "  hosts", host) for number, host in enumerate(found)] or [
        fact("  hosts", Span("none", "good"))
    ]


def _paths(label: str, paths: Any) -> list[Line]:
    found = _texts(paths)
    return [fact("" if number else label, path) for number, path in enumerate(found)] or [fact(label, "nothing named")]


def _texts(value: Any) -> list[str]:
    return [str(each) for each in cast("list[Any]", value)] if isinstance(value, list) else []


def _seconds(value: Any) -> str:
    return words.took(float(value)) if isinstance(value, int | float) else "?"


# -- how it ended --------------------------------------------------------------------------------------------------


def result_lines(room: Room, run: RunRecord | None, files: RunFiles, command: str) -> list[Line]:
    """`command` shows what it left."""
    result = files.result.table
    lines = [title("How it ended")]
    if run is None:
        lines.append(line(Span("  the journal does not say", "quiet")))
    elif not run.result:
        lines.append(line(Span("  it still runs", "busy")))
    else:
        sign = words.sign(words.RUNS, run.result)
        lines.append(fact("  ended as", Span(f"{sign.glyph} {sign.word}", sign.tone)))
        lines += _some(("  why", run.reason), ("  exit code", _known(run.exit_code)), ("  ended at", at(run.ended_at)))
    lines += _some(("  process", str(result.get("end", ""))), ("  note", str(result.get("note", ""))))
    if result.get("dropped_bytes"):
        lines.append(fact("  log", Span(f"{result['dropped_bytes']} bytes were dropped: it was too long", "attention")))
    lines += [BLANK, title("Usage"), *usage_lines(run, files)]
    if run is not None:
        lines += [BLANK, title("What came of it"), *_outcome(room, run)]
    if command:
        lines += [
            BLANK,
            title("What it left"),
            fact("  commit", run.kept if run else ""),
            fact("  on", run.base if run else ""),
        ]
        lines.append(fact("  show it", Span(command, "strong"), Span("  (y copies)", "quiet")))
    elif run is not None and run.result:
        lines += [BLANK, title("What it left"), line(Span("  nothing was kept", "quiet"))]
    return lines


def usage_lines(run: RunRecord | None, files: RunFiles) -> list[Line]:
    """Of a run that has ended what the journal charged it; of another what its files say until now."""
    if run is not None and run.result:
        return _charged(run.usage) if run.usage else [line(Span("  unknown: the agent did not say", "quiet"))]
    said = files.usage.table
    rows = [
        ("tokens", count(said.get("tokens")) or count(said.get("total"))),
        ("tokens in", count(said.get("tokens_in"))), ("tokens out", count(said.get("tokens_out"))),
        ("cost", dollars(said.get("cost"))),
    ]  # fmt: skip
    known = [(f"  {name}", f"{value:,}") for name, value in rows if value]
    if known:
        return [line(Span("  its own word so far, not counted yet:", "quiet")), *_some(*known)]
    return [line(Span("  unknown: the agent has not said anything yet", "quiet"))]


def _charged(f: Mapping[str, Any]) -> list[Line]:
    """f: the fields of `budget_spent`."""
    tokens = f"{f['tokens']:,}" if f.get("tokens_known", f["tokens"] > 0) else UNKNOWN
    parts = [("in", f.get("tokens_in")), ("out", f.get("tokens_out")), ("cached", f.get("tokens_cached"))]
    told = ", ".join(f"{value:,} {name}" for name, value in parts if value is not None)
    cost = f"{f['cost']:.4f}" if f.get("cost_known", f["cost"] > 0) else UNKNOWN
    rows = [("tokens", f"{tokens} ({told})" if told else tokens), ("cost", cost)]
    rows += [("turns", "" if f.get("turns") is None else f"{f['turns']:,}"), ("told by", str(f.get("source", "")))]
    rows += [("counts", _SCOPES.get(f.get("scope", ""), ""))]
    rows += [("claimed", ", ".join(f"{value:,.0f} {name}" for name, value in f.get("claimed", {}).items()))]
    return list(_some(*((f"  {name}", text) for name, text in rows)))


_SCOPES = {
    "run": "all of the run",
    "turn": "the turns that ended",
    "step": "the calls of its model that were seen: it may have been more",
}


def _outcome(room: Room, run: RunRecord) -> Sequence[Line]:
    change = room.state.changes.get(run.change)
    if change is None:
        return [fact("  change", run.change or "none")]
    moves = (move.commit for move in room.history.moves if move.change == run.change and move.kind == "landed")
    return [
        fact("  change", run.change), fact("  stands as", change.status),
        *_some(("  because", change.why), ("  landed as", next(moves, "")), ("  files", "  ".join(change.paths))),
    ]  # fmt: skip


def _some(*rows: tuple[str, str]) -> Iterable[Line]:
    return [fact(label, text) for label, text in rows if text]


def _known(value: int | None) -> str:
    return "" if value is None else str(value)


def show_command(hub: str, run: RunRecord | None) -> str:
    """The git command that shows what a run left; "" when nothing was kept."""
    if run is None or not run.kept:
        return ""
    return command_line(["git", f"--git-dir={hub}", *(["diff", run.base] if run.base else ["show"]), run.kept])
