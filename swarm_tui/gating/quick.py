"""`swarm gates` before the full parser is loaded: plainly written, and with an answer that stands, it is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.errors import SwarmError
from swarm_tui.gating.asked import Asked

_VALUED = ("--repo", "--state", "--base", "--gate")


def plainly(argv: Sequence[str]) -> Asked | None:
    """What `argv` (after `gates`) asks for, if options are written out in full; None leaves it to the full parser."""
    found: dict[str, list[str]] = {}
    revisions: list[str] = []
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in ("--json", "--keep-going"):
            found[word] = [word]
        elif name in _VALUED:
            found.setdefault(name, []).append(value if equals else next(rest, ""))
        elif word.startswith("-"):
            return None
        else:
            revisions.append(word)
    valued = {name: values for name, values in found.items() if name in _VALUED}
    if len(revisions) > 1 or any(not value or value.startswith("-") for values in valued.values() for value in values):
        return None
    if any(len(values) > 1 for name, values in valued.items() if name != "--gate"):
        return None
    repo, state, base = (valued[name][0] if name in valued else "" for name in ("--repo", "--state", "--base"))
    return Asked(
        Path(repo) if repo else None, Path(state) if state else None, "".join(revisions), base,
        tuple(valued.get("--gate", ())), as_json="--json" in found,
    )  # fmt: skip


def answer_quickly(argv: Sequence[str]) -> int | None:
    """The exit code when an answer stands and was said. What is wrong is left to the full command to say."""
    asked = plainly(argv)
    if asked is None:
        return None
    from swarm_tui.gating.standing import answer

    try:
        return answer(asked)
    except SwarmError:
        return None
