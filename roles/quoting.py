"""Text of others as data in a prompt: marked line by line, so that it cannot pass for the prompt's own words."""

from __future__ import annotations

from collections.abc import Iterable

from engine.text.sanitise import sanitise_line

LINES_CAP = 200
LINE_CAP = 500


def quoted(text: str, *, lines_cap: int = LINES_CAP) -> str:
    """Each line of `text` behind `> `, made visible and capped; "(nothing)" where there is none."""
    lines = [line.rstrip("\r") for line in text.strip().split("\n")] if text.strip() else []
    shown = [f"> {sanitise_line(line, line_cap=LINE_CAP)}".rstrip() for line in lines[:lines_cap]]
    if len(lines) > lines_cap:
        shown.append(f"> … [{len(lines) - lines_cap} more lines]")
    return "\n".join(shown) or "(nothing)"


def listed(entries: Iterable[str], empty: str, *, entries_cap: int = LINES_CAP) -> str:
    """One entry a line behind `- `, each on one line, made visible and capped; `empty` where there is none."""
    whole = list(entries)
    shown = [f"- {sanitise_line(entry, line_cap=LINE_CAP)}" for entry in whole[:entries_cap]]
    if len(whole) > entries_cap:
        shown.append(f"- … [{len(whole) - entries_cap} more]")
    return "\n".join(shown) or empty
