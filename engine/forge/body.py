"""What a pull request says: for each change what its agent told, quoted, and what the engine saw, with its digests.

All words from outside stand in code (spans, or blocks indented by four spaces), where no forge looks for mentions,
closing keywords, commands or HTML; the last paragraph is ours, so nothing of theirs can pass for a trailer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.models.report import VerificationReport
from engine.text.sanitise import sanitise, sanitise_line
from engine.text.unlinked import unlinked

BODY_CAP = 60_000
"""Characters; GitHub takes 65,536."""
WORDS_CAP = 4_000
SECTIONS = 20
TITLE_CAP = 120
_QUOTE = "    "


@dataclass(frozen=True)
class Landed:
    """One commit of hub's main. `kind`: change, restore, or person (then nothing was told about it).

    digest: of the report that its trailer names, "" for a person's commits. batched: the report is the tip's.
    """

    commit: str
    tree: str
    subject: str
    kind: str = "change"
    order: str = ""
    summary: str = ""
    risk: str = ""
    rollback: str = ""
    agent: str = ""
    digest: str = ""
    batched: bool = False


def span(text: str, cap: int = 200) -> str:
    """Words from outside within a line: a code span that they cannot end."""
    shown = sanitise_line(text, line_cap=cap).replace("`", "'").strip()
    return f"`{shown}`" if shown else "`(nothing)`"


def block(text: str) -> str:
    """Words from outside in lines of their own: a code block that they cannot end."""
    shown = sanitise(text[:WORDS_CAP]).strip("\n")
    cut = [f"{_QUOTE}[{len(text) - WORDS_CAP} more characters]"] if len(text) > WORDS_CAP else []
    return "\n".join([*(f"{_QUOTE}{line}" for line in (shown or "(nothing)").split("\n")), *cut])


def title_of(landed: Sequence[Landed]) -> str:
    """One line that neither mentions anybody nor refers to anything."""
    last = landed[-1]
    more = f" (and {len(landed) - 1} more)" if len(landed) > 1 else ""
    subject = unlinked(sanitise_line(last.subject, line_cap=TITLE_CAP)).replace("@", "(at)").replace("`", "'").strip()
    return f"{subject or last.commit[:12]}{more}"


def body_of(
    landed: Sequence[Landed], reports: dict[str, VerificationReport], envelope: str, *, built_on: str = ""
) -> str:
    """The whole text. `reports` by digest; `envelope`: the last report's, as JSON; built_on: the pull request whose
    commits this one contains too, as `#7`."""
    tip = landed[-1]
    count = f"{len(landed)} commit{'s' * (len(landed) != 1)}"
    opening = (
        f"The swarm proposes {count} up to `{tip.commit}`. Every landed tip was gated as exactly this tree before; the "
        "reports say what ran. Text in code blocks is quoted from agents and proves nothing."
    )
    parts = [opening]
    if built_on:
        parts.append(f"It builds on {built_on} and contains its commits: merge that one first, or this one for both.")
    shown = landed[-SECTIONS:]
    if len(shown) < len(landed):
        parts.append(f"The {len(landed) - len(shown)} commits before these are described in their messages.")
    room = BODY_CAP - 8_000
    for nth, one in enumerate(shown, len(landed) - len(shown) + 1):
        section = _section(nth, one, reports.get(one.digest))
        room -= len(section)
        parts.append(section if room > 0 else _short(nth, one))
    parts += _evidence(tip, envelope, BODY_CAP - sum(map(len, parts)))
    return "\n\n".join(parts) + "\n"


def _section(nth: int, one: Landed, report: VerificationReport | None) -> str:
    rows = [f"### {nth}. {span(one.subject)}"]
    if one.kind == "person":
        rows.append(f"A person's commit `{one.commit}`, taken in as it is.")
        return "\n\n".join(rows)
    who = f", by {span(one.agent, 60)}" if one.agent else ""
    rows.append(f"Commit `{one.commit}`, work order {span(one.order, 80)}{who}.")
    if one.kind == "change":
        rows += ["Summary:", block(one.summary), "Risk:", block(one.risk), "Rollback:", block(one.rollback)]
    rows.append(f"{'Report of the batch' if one.batched else 'Report'}: `{one.digest}`")
    if report is not None:
        rows.append(_gates(report))
    return "\n\n".join(rows)


def _short(nth: int, one: Landed) -> str:
    return f"### {nth}. {span(one.subject)}\n\nCommit `{one.commit}`, report `{one.digest or 'none'}`."


def _gates(report: VerificationReport) -> str:
    rows = ["| gate | result | passed | failed | skipped |", "|---|---|---|---|---|"]
    rows += [
        f"| {span(gate.name, 64)} | {gate.result} | {gate.passed} | {gate.failed} | {gate.skipped} |"
        for gate in report.gates
    ]
    flags = f"\n\nSaid openly: {', '.join(span(flag, 40) for flag in report.flags)}." if report.flags else ""
    return "\n".join(rows) + flags


def _evidence(tip: Landed, envelope: str, room: int) -> list[str]:
    where = (
        f"Tree `{tip.tree}`, report `{tip.digest or 'none'}`. Each commit names its report in a trailer; the signed "
        "envelopes are git notes below `refs/notes/swarm` (`git fetch origin refs/notes/swarm:refs/notes/swarm`), and "
        f"`swarm verify {tip.commit}` checks them."
    )
    parts = ["### Evidence", where]
    quoted = "\n".join(f"{_QUOTE}{line}" for line in envelope.splitlines())
    if envelope and len(quoted) < room - 1_000:
        parts += ["The signed report itself (its bytes have the digest above, with a line feed at the end):", quoted]
    return [*parts, f"Proposed-By: swarm, at {tip.commit}"]
