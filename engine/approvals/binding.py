"""What an answer is bound to: one exact operation on one exact tree. Pure.

The hash covers the argv, the folder in the workspace, the environment that was given, the tree and the commit it was
made on, and the object ids of the files that the argv names. What is said about the operation (why, which danger) is
not in it: other words do not make another question.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from engine.models.task import Operation
from engine.state import Approval

MAX_NAMED = 50
"""Files of the tree that an argv may name and that are shown; all of the tree is bound anyway."""
_LONGEST_PATH = 400


def operation_hash(operation: Operation, tree: str, base: str, reads: Mapping[str, str]) -> str:
    """SHA-256 (hex) of everything that an approval of an agent's operation is bound to."""
    bound = [
        list(operation.argv),
        folder_of(operation.cwd),
        sorted(operation.env.items()),
        tree,
        base,
        sorted(reads.items()),
    ]
    return _digest(bound)


def engine_hash(danger: str, operation: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of an operation of the engine itself."""
    return _digest([danger, dict(operation)])


def guard_hash(rule: str, reason: str, paths: Sequence[str]) -> str:
    """SHA-256 (hex) of one guard's word on a change: what a person allows is exactly this, and nothing else."""
    return _digest([rule, reason, list(paths)])


def folder_of(cwd: str) -> str:
    """One spelling of a folder below the workspace."""
    return posixpath.normpath(cwd.replace("\\", "/") or ".")


def named_paths(argv: Sequence[str], cwd: str) -> list[str]:
    """Paths from the top of the tree that the arguments could mean, in order; whether they are is for the tree to
    say. `--file=path`, `@path` and `path:line` are looked into."""
    found: dict[str, None] = {}
    for part in argv:
        for text in (part, part.partition("=")[2], part.removeprefix("@"), part.partition(":")[0]):
            path = _below(text, cwd)
            if path:
                found[path] = None
    return list(found)[:MAX_NAMED]


def _below(text: str, cwd: str) -> str:
    plain = text.replace("\\", "/")
    if not plain or len(plain) > _LONGEST_PATH or plain.startswith(("-", "/")) or "\0" in plain or "\n" in plain:
        return ""
    path = posixpath.normpath(posixpath.join(folder_of(cwd), plain))
    outside = path in (".", "..") or path.startswith(("../", "/"))
    return "" if outside or any(part.casefold() == ".git" for part in path.split("/")) else path


def refusal(approval: Approval | None, order: str, digest: str, now: float) -> str:
    """Why an operation with this hash may not be carried out for this order now; "" when it may, once."""
    if approval is None:
        return "nobody was asked about it"
    if order not in approval.askers:
        return f"approval {approval.id} is another work order's"
    if order in approval.used or approval.status == "used":
        return f"approval {approval.id} was used already"
    if approval.status != "approved":
        return f"approval {approval.id} is {approval.status}"
    if approval.expires_at <= now:
        return f"approval {approval.id} had expired before its operation could begin"
    if approval.hash != digest:
        return f"approval {approval.id} is about something else than what would be run now"
    return ""


def _digest(bound: object) -> str:
    text = json.dumps(bound, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()
