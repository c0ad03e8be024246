"""What each promise of a sandbox means, in words for people."""

from __future__ import annotations

from collections.abc import Mapping

from engine.ports import GUARANTEES, Sandbox
from engine.sandbox.attack import ESCAPES

MEANINGS: Mapping[str, str] = {
    "fs_write": "files outside of its own folders cannot be changed",
    "fs_read": "your files and the environment of other processes cannot be read",
    "git_meta": "refs and objects of the repository cannot be changed",
    "net": "there is no network beside the engine's proxy",
    "pid_tree": "processes outside cannot be signalled, limited or slowed down",
    "limits": "memory, processes and disk are limited",
    "unix_sock": "sockets of your session (ssh-agent, Docker, D-Bus) cannot be reached",
    "terminal": "nothing can be typed into a terminal",
    "namespaces": "no user namespaces of its own can be made",
    "shared": "memory that your processes share cannot be reached",
    "keyrings": "your kernel keyrings are closed",
    "kernel": "kernel interfaces with a history of holes are closed",
}
UNTESTED = "untested on this platform"


def promises(sandbox: Sandbox) -> list[tuple[str, bool, str]]:
    """(name, held, what it means) of each guarantee and of what else was probed, with the escapes that got through."""
    listed = [(name, sandbox.guarantees.get(name, False)) for name in GUARANTEES] + [*sandbox.extras.items()]
    told: list[tuple[str, bool, str]] = []
    for name, held in listed:
        through = [each for each in ESCAPES.get(name, ()) if each in sandbox.broken]
        because = f" (got through: {', '.join(through)})" if through else ""
        told.append((name, held, MEANINGS.get(name, name) + because))
    return told


def said_of(sandbox: Sandbox) -> dict[str, object]:
    """What the journal keeps of it: the backend, why it is not a stronger one, and what it guarantees."""
    return {
        "backend": sandbox.name,
        "reason": sandbox.reason,
        "guarantees": dict(sandbox.guarantees),
    }


def described(sandbox: Sandbox) -> dict[str, object]:
    """All that is known of it for scripts, JSON-ready."""
    return {
        **said_of(sandbox),
        "tested": UNTESTED not in sandbox.weak,
        "extras": dict(sandbox.extras),
        "broken": list(sandbox.broken),
        "weak": list(sandbox.weak),
    }
