"""Which of the modes that an agent offers is used: one that asks before it acts, and never one that asks nothing.

The names are those that were seen: Gemini CLI 0.61 (default, autoEdit, yolo, plan), opencode 1.18 (build, plan), Claude
(default, acceptEdits, plan, dontAsk, bypassPermissions), Codex (read-only, auto, full-access), goose (auto, approve,
smart_approve, chat), Copilot (…#agent, …#plan, …#autopilot), Mistral Vibe (default, plan, accept-edits, auto-approve).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ASKING = ("default", "ask", "approve", "smartapprove", "readonly", "agent", "build", "code")
"""The first of these that is offered is used. Where nothing else is offered, the sandbox alone holds the agent."""
NEVER = re.compile(r"bypass|yolo|dontask|fullaccess|autopilot|autoapprove|skippermission|unrestricted|danger")
ONLY_TALK = frozenset({"plan", "chat", "architect", "readonlyplan"})


def asking_mode(offered: Sequence[str], current: str) -> str | None:
    """The id of the mode to use; None: none of those that are offered may be used."""
    by_name = {_name(each): each for each in reversed(offered)}
    for name in ASKING:
        if name in by_name:
            return by_name[name]
    usable = [each for each in offered if _usable(each)]
    return current if current in usable else next(iter(usable), None)


def _usable(ident: str) -> bool:
    name = _name(ident)
    return not NEVER.search(name) and name not in ONLY_TALK and name != "auto"


def _name(ident: str) -> str:
    """Without case, hyphens and the address in front of a `#`."""
    return re.sub(r"[^a-z0-9]", "", ident.rpartition("#")[2].lower())
