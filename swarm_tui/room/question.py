"""What a person is shown before he answers: everything a question is bound to, in words. Pure; all text is clean."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from engine.approvals.asked import MAX_NAME, argv_of, env_of, is_claimed, judged_of, word_of
from engine.approvals.dangers import Judged, danger_of
from engine.history import History
from engine.state import Approval, Change, State
from engine.text.sanitise import sanitise, sanitise_line
from engine.text.suspicious import escaped

Kind = Literal["operation", "land", "restore", "other"]

MAX_LANDINGS = 30
MAX_PATHS = 200
MAX_WARNINGS = 20
MAX_FACTS = 60
MAX_PROSE = 200
"""Lines of a reason or summary."""


class Line(NamedTuple):
    """One line of a sheet. `exact`: broken where the room ends, never between words; else wrapped as prose.

    `label` stands before the first of lines that belong together. Tones are those of `widgets.sheet`.
    """

    label: str
    text: str
    tone: str = "plain"
    exact: bool = False


@dataclass(frozen=True)
class Sides:
    """Two trees or commits of the hub whose difference is the evidence, and what may be said about it.

    `argv`: files and folders that it names are looked up in `new`.
    """

    old: str
    new: str
    about: str
    argv: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """`word`: what has to be typed to approve; "" where one key is enough. Times in UTC seconds."""

    ident: str
    kind: Kind
    heading: str
    judged: Judged
    lines: tuple[Line, ...]
    bound: tuple[Line, ...]
    """What the answer is bound to."""
    word: str
    asked_at: float
    expires_at: float
    sides: Sides | None
    hash: str = ""
    """An answer names it, so that it is no answer to anything else."""


def question_of(approval: Approval, state: State, history: History) -> Question:
    """Everything about a question that is known without looking at the repository."""
    operation = approval.operation
    asked_by_agent, argv = is_claimed(approval), argv_of(approval)
    judged = judged_of(approval)
    change = state.changes.get(approval.subject)
    if asked_by_agent:
        kind, heading, lines, sides = _operation(approval, argv, state, history)
    elif approval.danger == "land" and change is not None:
        kind, heading, lines, sides = _land(approval, change, state)
    elif approval.danger == "restore":
        kind, heading, lines, sides = _restore(approval, state)
    else:
        kind, heading, lines, sides = "other", sanitise_line(approval.title), _other(approval, state), None
        if change is not None and "rules" in operation:
            sides = Sides(change.base, change.tree, "what it changes")
    return Question(
        approval.id, kind, heading, judged, tuple(lines), _bound(approval),
        word_of(approval, state) if judged.highest else "", approval.asked_at, approval.expires_at, sides,
        approval.hash,
    )  # fmt: skip


def class_words(judged: Judged) -> tuple[str, str]:
    """The danger class in words, and where they come from. Clean."""
    claimed = sanitise_line(judged.claimed, line_cap=60)
    source = "claimed by its agent" if claimed else "asked by the engine"
    if claimed and claimed.replace("_", " ") != judged.word:
        source += f" as “{claimed}”"
    if judged.seen:
        source += f"; its command: {judged.seen}"
    return judged.word, source


def quoted(argv: Sequence[str]) -> list[str]:
    """Each argument in full, quoted as in a shell wherever it could be taken for more or fewer than one."""
    return [_quoted(part) for part in argv]


# Braces, a hash or a tilde mean something to some shell; the rest is what nobody could misread.
_PLAIN = re.compile(r"[\w@%+=:,./\\-]+", re.ASCII)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    text = escaped(text) if not text.isascii() else text
    return "'" + sanitise_line(text, line_cap=len(text) + 1).replace("'", "'\"'\"'") + "'"


# -- the kinds of questions ---------------------------------------------------------------------------------------

_Told = tuple[Kind, str, list[Line], Sides | None]


def _operation(approval: Approval, argv: tuple[str, ...], state: State, history: History) -> _Told:
    order, run = sanitise_line(approval.order), history.runs.get(approval.subject)
    spec = state.orders[approval.order].spec if approval.order in state.orders else None
    agent = f" · agent {sanitise_line(run.agent)}" if run else ""
    cwd = str(approval.operation.get("cwd", "."))
    where = f"{_quoted(cwd)} (the top of its workspace)" if cwd == "." else f"{_quoted(cwd)} in its workspace"
    env = [_quoted(f"{name}={value}") for name, value in env_of(approval).items()]
    lines = [
        *_warnings(approval),
        *_command(argv),
        Line("folder", where, exact=True),
        *(Line("" if at else "environment", pair, exact=True) for at, pair in enumerate(env)),
        Line("who", f"work order {order} · run {sanitise_line(approval.subject)}{agent}{_others(approval)}"),
        *_facts(approval),
        *_prose("why", approval.why or "it does not say why"),
        Line(
            "if approved", "it is run once, exactly so, in a fresh workspace of the kept tree; then the agent goes on"
        ),
        Line("if denied", "it is not run; the agent is told so, with what you write, and goes on without it"),
        *_prose("rollback", _rollback(spec.rollback if spec else "")),
    ]
    sides = None
    if approval.tree:
        about = "what the run has changed so far; what the command changes comes on top"
        sides = Sides(approval.base or state.main, approval.tree, about, argv)
    return "operation", f"{order} asks to run", lines, sides


def _land(approval: Approval, change: Change, state: State) -> _Told:
    order = state.orders.get(change.order)
    rollback = change.rollback or (order.spec.rollback if order else "")
    touches = sanitise_line(", ".join(change.paths[:MAX_PATHS]), line_cap=10_000)
    more = f" and {len(change.paths) - MAX_PATHS} more" if len(change.paths) > MAX_PATHS else ""
    lines = [
        *_prose("why asked", approval.why),
        *_prose("summary", change.summary or "it has none"),
        Line("who", f"work order {sanitise_line(change.order)} · agent {sanitise_line(change.agent or '?')}"),
        *_prose("risk", change.risk or "none named"),
        *_prose("rollback", _rollback(rollback)),
        _report(change, state),
        Line("if approved", "it lands when its gates are green and its turn has come"),
        Line("if denied", "the change is rejected; the work order is told why, with what you write"),
        Line("touches", f"{touches}{more}" if change.paths else "no path"),
    ]
    tree = str(approval.operation.get("tree") or change.tree)
    return "land", f"{sanitise_line(change.order)} waits to land", lines, Sides(change.base, tree, "what it changes")


def _report(change: Change, state: State) -> Line:
    verdict = change.verdicts.get(state.main_tree)
    if verdict is None:
        return Line("report", "none on main as it is now: its gates run before it lands", "quiet")
    tone = {"green": "good", "red": "bad"}.get(verdict.result, "attention")
    return Line("report", f"{sanitise_line(verdict.result)} · {sanitise_line(verdict.report)[:19]}", tone)


def _restore(approval: Approval, state: State) -> _Told:
    old, new = str(approval.operation.get("from", "")), str(approval.operation.get("to", ""))
    lines = _prose("why asked", approval.why)
    if state.frozen:
        lines += _prose("red", state.frozen)
    if not new:
        lines += [
            Line("if approved", f"landing goes on although {sanitise_line(state.branch)} is red", "attention"),
            Line("if denied", "landing stays frozen until a commit passes the canary"),
        ]
        return "restore", sanitise_line(approval.title), lines, None
    off = [landing for landing in state.landings if landing.commit != new]
    lines += [
        Line("main now", old[:12], exact=True),
        Line("last good", new[:12], exact=True),
        Line("if approved", "main gets one more commit with last good's tree; no history is rewritten"),
        Line("if denied", "main stays as it is, and landing goes on"),
        *_prose("rollback", "what is taken off stays in main's history and can be landed again"),
    ]
    for number, landing in enumerate(off[-MAX_LANDINGS:]):
        text = f"{landing.commit[:12]} {landing.kind} {sanitise_line(landing.order)}".rstrip()
        lines.append(Line("" if number else "takes off", text, exact=True))
    return "restore", sanitise_line(approval.title), lines, Sides(old, new, "what putting main back changes")


def _other(approval: Approval, state: State) -> list[Line]:
    """Questions of the engine that have no form of their own: facts instead of the operation, where there are some."""
    ends = _ENDS.get("guards" if "rules" in approval.operation else approval.danger)
    if ends is not None:
        who = f"work order {sanitise_line(approval.order)}{_others(approval)}" if approval.order else "the engine"
        change = state.changes.get(approval.subject)
        return [
            *_warnings(approval),
            *_prose("why", approval.why),
            *_facts(approval, "plain" if approval.danger == "proposal" else "attention"),
            Line("who", who),
            Line("if approved", ends[0]),
            Line("if denied", ends[1]),
            *_prose("rollback", (change.rollback if change else "") or danger_of(approval.danger).rollback),
        ]
    said = json.dumps(approval.operation, ensure_ascii=False, indent=1, default=str)
    rows = sanitise(said, line_cap=len(said) + 1).split("\n")
    lines = [Line("" if number else "operation", row, exact=True) for number, row in enumerate(rows)]
    return [*_prose("why", approval.why), *lines]


_ENDS = {
    "guards": (
        "this very change is looked at again and may pass what is named here; its report says so",
        "it stays rejected; the work order is told, with what you write",
    ),
    "network": (
        "coming attempts of whoever asks may reach exactly this host; nothing else opens",
        "it stays closed, and is not asked again for this work order",
    ),
    "over_budget": ("it goes on until that is spent too", "it stops where it is"),
    "proposal": (
        "it is taken on as it stands here, and begins when its turn comes",
        "it is cancelled; nothing has been done for it",
    ),
}


# -- parts ----------------------------------------------------------------------------------------------------------


def _command(argv: Sequence[str]) -> list[Line]:
    """Short commands on one line; else one line an argument, so that none can pass for two."""
    words = quoted(argv)
    if not words:
        return [Line("command", "none was named", "attention")]
    if sum(map(len, words)) + len(words) <= MAX_NAME and all(words):
        return [Line("command", " ".join(words), "strong", exact=True)]
    return [Line("" if at else "command", word, "strong", exact=True) for at, word in enumerate(words)]


def _bound(approval: Approval) -> tuple[Line, ...]:
    parts = [sanitise_line(approval.id), f"hash {sanitise_line(approval.hash)[:12]}"]
    parts += [f"tree {sanitise_line(approval.tree)[:12]}"] if approval.tree else []
    parts += [f"base {sanitise_line(approval.base)[:12]}"] if approval.base else []
    return (Line("bound to", " · ".join(parts), "quiet"),)


def _prose(label: str, text: str) -> list[Line]:
    rows = sanitise(text.strip()).split("\n")
    lines = [Line("" if number else label, row) for number, row in enumerate(rows[:MAX_PROSE])]
    return [*lines, Line("", f"… and {len(rows) - MAX_PROSE} more lines")] if len(rows) > MAX_PROSE else lines


def _warnings(approval: Approval) -> list[Line]:
    """Why this should be read twice, first of all."""
    warnings = judged_of(approval).warnings
    return [Line("" if at else "⚠ warning", text, "bad") for at, text in enumerate(warnings[:MAX_WARNINGS])]


def _facts(approval: Approval, tone: str = "attention") -> list[Line]:
    facts = [sanitise_line(fact) for fact in approval.facts]
    lines = [Line("" if at else "facts", fact, tone, exact=True) for at, fact in enumerate(facts[:MAX_FACTS])]
    more = len(facts) - MAX_FACTS
    return [*lines, Line("", f"… and {more} more", "attention")] if more > 0 else lines


def _others(approval: Approval) -> str:
    others = ", ".join(sanitise_line(ident) for ident in approval.also)
    return f" · and the same for {others}" if others else ""


def _rollback(text: str) -> str:
    return text or "none named by the work order"
