"""Which tests passed on the base: from the journal, or from a green report that was made by hand here.

Without such a report nothing can be said about tests that are gone, so that is said instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from pathlib import Path

from engine.client import Client
from engine.errors import SwarmError
from engine.folders import StateFolder
from engine.ports import GateRunner

FOLDER = "gate-cache/bases"
"""Below the state folder: one small file a tree and policy, which only points to a signed report."""


def base_report(folders: StateFolder, runner: GateRunner, tree: str, policy: str) -> str:
    """The digest of a green report about `tree` under `policy`; "": there is none. Blocking."""
    return _journalled(folders, tree, policy) or _noted(folders, runner, tree, policy)


def note_report(folders: StateFolder, tree: str, policy: str, digest: str) -> None:
    """Note a green report of all gates. A disk that cannot take the note is no reason to fail."""
    path = note_path(folders, tree, policy)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fresh.write_text(json.dumps({"report": digest}), encoding="ascii")
        fresh.replace(path)


def _journalled(folders: StateFolder, tree: str, policy: str) -> str:
    if not folders.journal.is_file():
        return ""
    client = Client.attach(folders)
    verdict = client.state.verified.get(tree)
    client.close()
    return verdict.report if verdict is not None and verdict.policy == policy else ""


def _noted(folders: StateFolder, runner: GateRunner, tree: str, policy: str) -> str:
    try:
        digest = str(json.loads(note_path(folders, tree, policy).read_text(encoding="ascii"))["report"])
        report = runner.load(digest)
    except (OSError, ValueError, KeyError, TypeError, SwarmError):
        return ""
    fits = report.tree == tree and report.policy == policy and report.result == "green"
    return digest if fits else ""


def note_path(folders: StateFolder, tree: str, policy: str) -> Path:
    """Where the note about a tree lies, if there is one."""
    name = hashlib.sha256(f"{tree} {policy}".encode()).hexdigest()[:32]
    return folders.root / FOLDER / f"{name}.json"
