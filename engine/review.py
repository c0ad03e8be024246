"""What is looked at before a change may stand in the queue: how large it is, and what its agent says of it. Pure."""

from __future__ import annotations

import re

from engine.models.roadmap import WorkOrder
from engine.models.settings import Merge

HIGH = "high"
"""A risk of this name needs a way back."""


def review(
    summary: str, risk: str, rollback: str, files: int, lines: int, order: WorkOrder | None, merge: Merge
) -> list[str]:
    """Why the change is sent back, one sentence each, for its agent. files: changed ones; lines: added and deleted."""
    found: list[str] = []
    if not summary.strip():
        found.append("its handoff has no summary: say what was changed and why.")
    if names_risk(risk, [HIGH]) and not rollback.strip() and not (order is not None and order.rollback.strip()):
        found.append("its risk is high and nothing says how to take it back: write rollback into the handoff.")
    if 0 < merge.max_files < files:
        found.append(f"it changes {files} files, and merge.max_files is {merge.max_files}: hand in a smaller step.")
    if 0 < merge.max_lines < lines:
        found.append(f"it changes {lines} lines, and merge.max_lines is {merge.max_lines}: hand in a smaller step.")
    return found


def names_risk(said: str, words: list[str]) -> str:
    """The first of the words that the text has as a word of its own, in any case; "" when it has none.

    "not high" has it too: that costs one question, and an agent cannot talk its way past a person.
    """
    for word in words:
        if word.strip() and re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", said, re.IGNORECASE):
            return word
    return ""
