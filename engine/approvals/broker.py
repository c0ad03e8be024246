"""The broker's library face: what an agent's permission request is answered, by rules alone.

For those who ask at run time: ACP's `session/request_permission`, and tools of our own. `decide` says allow, deny or
ask; `option_for` turns that into one of the options that the request offers, by the option's kind and never by its id.
"Always" does not exist: an option that would open more than this one request is never chosen. Whoever is told `ask`
puts the question to a person like any other operation, and answers no when nobody is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.approvals.dangers import DANGERS, UNKNOWN, warnings_of
from engine.approvals.rules import seen_in
from engine.text.suspicious import suspicious

Kind = Literal["read", "search", "think", "edit", "delete", "move", "execute", "fetch", "other"]
"""As ACP names what a tool does. Any other word is `other`."""
Verdict = Literal["allow", "deny", "ask"]

NEEDED = ("fs_write",)
"""Guarantees of the sandbox without which commands are not allowed just so."""
_WITHOUT: dict[str, Verdict] = {"run": "allow", "ask": "ask", "refuse": "deny"}
_LOOKS = ("read", "search")
_CHANGES = ("edit", "delete", "move")


@dataclass(frozen=True)
class Request:
    """What is to be done. `paths`: everything that it touches, as it came; `argv`: kind execute; `host`: kind fetch, as
    `host` or `host:port`. `cwd` is relative to the workspace, or absolute."""

    kind: str
    paths: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    host: str = ""
    cwd: str = "."
    env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Policy:
    """What holds for one run. guarantees: of the sandbox in which the agent runs. without: `sandbox.without` of the
    settings. hosts: what its proxy lets through. resolve: the real path, or None when it cannot be told."""

    workspace: Path
    guarantees: Mapping[str, bool]
    without: str = "run"
    hosts: tuple[str, ...] = ()
    readable: tuple[Path, ...] = ()
    resolve: Callable[[str], Path | None] = lambda path: _real(path)


@dataclass(frozen=True)
class Decision:
    """`danger`: key of the class in the table, "" for what is ordinary or cannot be placed; `reason`: one clause."""

    verdict: Verdict
    reason: str
    danger: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def highest(self) -> bool:
        """Whether approving it wants a name typed."""
        return bool(self.warnings) or DANGERS.get(self.danger, UNKNOWN).highest


def decide(request: Request, policy: Policy) -> Decision:
    """Allow what the sandbox contains anyway, ask a person about what is dangerous, deny what cannot be placed."""
    if request.kind == "think":
        return Decision("allow", "it touches nothing")
    if request.kind == "execute":
        return _execute(request, policy)
    if request.kind == "fetch":
        return _fetch(request, policy)
    if request.kind in (*_LOOKS, *_CHANGES):
        return _touch(request, policy)
    return Decision("deny", "what it does is not known")


def option_for(verdict: Verdict, options: Iterable[tuple[str, str]]) -> str | None:
    """The id of the option to answer with, of options as (id, kind). None: none says just that, so the request is
    cancelled. ask: nobody has answered yet, which is no yes."""
    wanted = "allow_once" if verdict == "allow" else "reject_once"
    return next((ident for ident, kind in options if kind == wanted), None)


def _execute(request: Request, policy: Policy) -> Decision:
    if not request.argv or not request.argv[0]:
        return Decision("deny", "it names no command")
    folder = _inside(request.cwd, policy, (policy.workspace,))
    if folder is None:
        return Decision("deny", "its folder is not in the workspace")
    warnings = warnings_of(request.argv, request.cwd, request.env)
    seen = seen_in(request.argv)
    if seen is None:
        return Decision("ask", "its command is too long to be looked through", warnings=warnings)
    dangerous = [danger for danger in seen if danger != "inline_code"]
    if dangerous:
        return Decision("ask", f"its command: {DANGERS[dangerous[0]].word}", dangerous[0], warnings)
    if warnings:
        return Decision("ask", warnings[0], seen[0] if seen else "", warnings)
    if all(policy.guarantees.get(name, False) for name in NEEDED):
        return Decision("allow", "the sandbox contains it", seen[0] if seen else "")
    return Decision(_WITHOUT.get(policy.without, "deny"), "no sandbox contains it (sandbox.without)", "leave_sandbox")


def _fetch(request: Request, policy: Policy) -> Decision:
    if not request.host:
        return Decision("deny", "it names no host")
    warnings = tuple(suspicious(request.host))
    if request.host in policy.hosts and not warnings:
        return Decision("allow", "the host is allowed", "network")
    return Decision("ask", "it wants to reach a new host", "network", warnings)


def _touch(request: Request, policy: Policy) -> Decision:
    if not request.paths:
        return Decision("deny", "it does not say what it touches")
    looks = request.kind in _LOOKS
    roots = (policy.workspace, *policy.readable) if looks else (policy.workspace,)
    for path in request.paths:
        real = _inside(path, policy, roots)
        if real is None:
            return Decision("deny", "it touches something outside of the workspace")
        if not looks and _is_gits(real, policy):
            return Decision("deny", "it touches what git keeps for itself")
        if request.kind == "delete" and (real.is_dir() or real == _root(policy)):
            return Decision("ask", "it deletes a whole folder", "large_deletion")
    return Decision("allow", "it stays in the workspace")


def _inside(path: str, policy: Policy, roots: Sequence[Path]) -> Path | None:
    """The real path, if it is at or below one of the roots."""
    if not path or "\0" in path:
        return None
    real = policy.resolve(str(policy.workspace / path))
    if real is None:
        return None
    resolved = [found for root in roots if (found := policy.resolve(str(root))) is not None]
    return real if any(real.is_relative_to(root) for root in resolved) else None


def _is_gits(real: Path, policy: Policy) -> bool:
    below = real.relative_to(_root(policy)).parts
    return any(part.casefold() == ".git" for part in below)


def _root(policy: Policy) -> Path:
    return policy.resolve(str(policy.workspace)) or policy.workspace


def _real(path: str) -> Path | None:
    """Links followed, also those in folders above a file that is not there yet. None when it cannot be told."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError, RuntimeError):
        return None
