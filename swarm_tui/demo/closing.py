"""The last words of the demo: its night in a screenful, and where to look at what is left of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from engine.models.status import Status
from swarm_tui.demo import build
from swarm_tui.demo.story import Chapter

TOLD = "night.txt"
"""The file beside a kept demo's repository with the whole story."""


def closing(
    chapters: Sequence[Chapter], status: Status, kept: Path | None, seconds: float, columns: int | None
) -> Text:
    """One line a chapter, the sum, and what to do next: fits 80 columns and 24 rows.

    kept: the demo's folder, None when it is gone. columns: where lines are cut, at a word; None: nowhere.
    """
    text = Text("\nThe night in a screenful\n", style="bold")
    width = max((cell_len(chapter.name) for chapter in chapters), default=0)
    for chapter in chapters:
        text.append("✔ " if chapter.happened else "✘ ", style="green" if chapter.happened else "red")
        head = chapter.name + " " * (width - cell_len(chapter.name) + 2)
        text.append(head)
        detail = chapter.evidence if columns is None else cut(chapter.evidence, columns - cell_len(head) - 2)
        text.append(f"{detail}\n", style="dim")
    text.append(f"In {seconds:.0f} s: main {status.health}, {status.work_orders.get('healthy', 0)} healthy, ")
    text.append(f"{status.rejected} rejected at first, {status.reverted} reverted, {status.parked} parked.\n")
    if not build.HAS_TERMINALS:
        text.append(f"{build.NO_TERMINALS}\n", style="dim")
    text.append("".join(f"{line}\n" for line in _next(status, kept)), style="dim")
    return text


def cut(text: str, cells: int) -> str:
    """The beginning of a line in at most so many cells, and an ellipsis after a word where it goes on."""
    if cell_len(text) <= cells:
        return text
    found = ""
    for sign in text:
        if cell_len(found + sign) > cells - 1:
            break
        found += sign
    if text[len(found)] != " ":
        found = found.rpartition(" ")[0] or found
    return f"{found.rstrip(' ,;:(')}…" if cells > 0 else ""


def _next(status: Status, kept: Path | None) -> list[str]:
    if kept is None:
        return ["Its folder is gone; `swarm demo --dir DIR` leaves everything to look at."]
    state = "--state ../state"
    lines = [f"git log; swarm verify main~3..main {state}; less ../{TOLD}"]
    lines += [f"swarm approve {approval.id} {state}" for approval in status.approvals[:1]]
    return [f"Look around: cd {shlex.quote(str(kept / 'repo'))}", *(f"  {line}" for line in lines)]
