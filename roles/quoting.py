"""Text of others as data in a prompt: marked line by line, so that it cannot pass for the prompt's own words."""

from __future__ import annotations

from collections.abc import Iterable

from engine.text.sanitise import sanitise, sanitise_line

LINES_CAP = 200
LINE_CAP = 500


def quoted(text: str, *, lines_cap: int = LINES_CAP) -> str:
    """Each line of `text` behind `> `, made visible and capped; "(nothing)" where there is none."""
    lines = sanitise(text.strip(), line_cap=LINE_CAP).split("\n") if text.strip() else []
    if len(lines) > lines_cap:
        lines = [*lines[:lines_cap], f"… [{len(lines) - lines_cap} more lines]"]
    return "\n".join(f"> {line}".rstrip() for line in lines) or "(nothing)"


def listed(entries: Iterable[str], empty: str, *, entries_cap: int = LINES_CAP) -> str:
    """One entry a line behind `- `, each on one line, made visible and capped; `empty` where there is none."""
    lines = [f"- {sanitise_line(entry, line_cap=LINE_CAP)}" for entry in entries]
    if len(lines) > entries_cap:
        lines = [*lines[:entries_cap], f"- … [{len(lines) - entries_cap} more]"]
    return "\n".join(lines) or empty
