"""Signed reports, gate runs and canary runs for tests of the room, made by the code that makes the real ones."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.git.hub import Hub
from engine.models.event import NewEvent
from engine.models.report import GateResult, VerificationReport
from gates.report import Reports
from gates.sign import open_keys

TREE, OTHER_TREE, BASE, BASE_COMMIT = "a" * 40, "9" * 40, "b" * 40, "e" * 40
CHANGE = "agent/one/1-aaaaaaaa"
LOG = """..FF.
======================================================================
ERROR: test_cut (tests.test_bar.BarTest.test_cut)
----------------------------------------------------------------------
AttributeError: 'Bar' object has no attribute 'cut'

======================================================================
FAIL: test_wide (tests.test_bar.BarTest.test_wide)
----------------------------------------------------------------------
AssertionError: 3 != 4
"""
OUTCOMES = {
    "tests.test_bar.BarTest.test_cut": "failed",
    "tests.test_bar.BarTest.test_wide": "failed",
    "tests.test_bar.BarTest.test_a": "passed",
    "tests.test_bar.BarTest.test_b": "passed",
    "tests.test_bar.BarTest.test_c": "skipped",
}


def a_gate(store: ArtifactStore, name: str = "unit", **fields: Any) -> GateResult:
    """A red gate with two failures, as the runner would write it down; `outcomes` and `log_text` may differ."""
    outcomes: Mapping[str, str] = fields.pop("outcomes", OUTCOMES)
    log: str = fields.pop("log_text", LOG)
    said = list(outcomes.values())
    passed, failed = said.count("passed"), said.count("failed")
    known: dict[str, Any] = {
        "name": name,
        "result": "red" if failed else "green",
        "reason": f"{failed} of {passed + failed} tests failed." if failed else "",
        "executed": passed + failed,
        "passed": passed,
        "failed": failed,
        "skipped": said.count("skipped"),
        "duration_s": 1.5,
        "argv": ["python", "-m", "unittest", "-k", "a b"],
        "exit_code": 1 if failed else 0,
        "log": store.put(log.encode()) if log else "",
        "tests": store.put_json(dict(outcomes)) if outcomes else "",
    }
    return GateResult.model_validate({**known, **fields})


def signed(folders: StateFolder, *gates: GateResult, tree: str = TREE, **fields: Any) -> str:
    """The digest of a report on these gates, signed with the state folder's own key."""
    red = any(gate.result in ("red", "timeout") for gate in gates)
    known: dict[str, Any] = {
        "kind": "land",
        "result": "red" if red else "green",
        "tree": tree,
        "base": BASE,
        "base_commit": BASE_COMMIT,
        "repository": "r",
        "change": CHANGE,
        "work_order": "one",
        "policy": "sha256:policy",
        "gates": list(gates),
        "reproduce": ['cd "$(mktemp -d)"', f"git -C REPOSITORY archive {tree} | tar -x", "python -m unittest"],
    }
    report = VerificationReport.model_validate({**known, **fields})
    return Reports(ArtifactStore(folders.artifacts), open_keys(folders.keys)).sign(report).digest


# -- events ----------------------------------------------------------------------------------------------------------


def gate_started(gate: str = "unit", tree: str = TREE, change: str = CHANGE) -> NewEvent:
    return NewEvent("gate_started", {"gate": gate, "tree": tree, "change": change}, work_order="one" if change else "")


def gate_finished(result: GateResult, tree: str = TREE, change: str = CHANGE) -> NewEvent:
    told = {"result", "reason", "executed", "passed", "failed", "skipped", "duration_s", "cached"}
    fields = {"gate": result.name, "tree": tree, "change": change, **result.model_dump(include=told)}
    return NewEvent("gate_finished", fields, work_order="one" if change else "")


def report_signed(digest: str, result: str = "red", tree: str = TREE, change: str = CHANGE) -> NewEvent:
    fields = {
        "report_kind": "land", "result": result, "report": digest, "tree": tree, "base": BASE,
        "base_commit": BASE_COMMIT, "policy": "p", "change": change, "reasons": [],
    }  # fmt: skip
    return NewEvent("report_signed", fields, work_order="one" if change else "")


def canary_started(commit: str, about: str = "", purpose: str = "first") -> NewEvent:
    return NewEvent("canary_started", {"commit": commit, "about": about or commit, "purpose": purpose})


def canary_finished(
    commit: str, flows: Sequence[Mapping[str, Any]], about: str = "", purpose: str = "first"
) -> NewEvent:
    bad = next((flow for flow in flows if flow["verdict"] != "PASS"), None)
    fields = {
        "commit": commit, "about": about or commit, "purpose": purpose, "flows": [dict(flow) for flow in flows],
        "verdict": bad["verdict"] if bad else "PASS", "reason": bad["reason"] if bad else "1 of 1 flows passed",
        "flow": bad["flow"] if bad else "",
    }  # fmt: skip
    return NewEvent("canary_finished", fields)


def canary_judged(commit: str, verdict: str, reason: str = "") -> NewEvent:
    return NewEvent(
        "canary_judged", {"commit": commit, "verdict": verdict, "reason": reason, "flaky": False, "flow": ""}
    )


# -- a repository and screens ----------------------------------------------------------------------------------------


def a_hub(folder: Path, folders: StateFolder, files: Mapping[str, str]) -> str:
    """A repository with one commit of these files, and its hub in the state folder; the commit."""
    repository = folder / "repository"
    repository.mkdir()
    for name, text in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    _git(repository, "init", "-q", "-b", "main")
    _git(repository, "add", "-A")
    _git(repository, "-c", "user.name=p", "-c", "user.email=p@p", "commit", "-q", "-m", "a start")
    return Hub.create_or_open(folders.root, repository, "main").main().commit


def _git(repository: Path, *argv: str) -> None:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *argv], cwd=repository, env=env, check=True, capture_output=True)


def trace(*events: Mapping[str, Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


async def until(pilot: Pilot[Any], holds: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait until it holds; fail, with the screen, when it does not in time."""
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, "it never came to hold; the screen shows:\n" + shown(pilot.app)
        await pilot.pause(0.02)


def shown(app: App[Any]) -> str:
    """What is on the screen, as text."""
    screen = app.screen
    strips = screen._compositor.render_strips(screen.size)  # pyright: ignore[reportPrivateUsage] - there is no other way
    return "\n".join(strip.text for strip in strips)
