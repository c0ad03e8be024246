"""A small night of the canary for tests: a flow with a golden, green runs, and a red landing that is put back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.models.event import NewEvent
from tests.swarm_tui.proofs import a_hub, canary_finished, canary_judged, canary_started, trace

FLOW = "resize"
SETTINGS = """
[[canary.flow]]
name = "resize"
start = { run = ["python", "-m", "tiny"] }
steps = [{ sample = { name = "frame-time", event = "frame", path = "ms", unit = "ms" } }]
judge = { golden = "canary/golden/resize.jsonl", mask = ["t", "ms"] }
"""
GOLDEN = trace({"kind": "ready"}, {"kind": "frame", "w": 3, "rows": ["+-+", "|a|", "+-+"]})
GOOD = trace({"kind": "ready", "t": 0.1}, {"kind": "frame", "t": 0.2, "ms": 2.5, "w": 3, "rows": ["+-+", "|a|", "+-+"]})
BAD = trace(
    {"kind": "ready", "t": 0.1}, {"kind": "frame", "t": 0.2, "ms": 9.0, "w": 4, "rows": ["+-+", "|[b]|", "+-+"]}
)
RED, RESTORE, AGAIN = "7" * 40, "6" * 40, "5" * 40
REASON = "golden canary/golden/resize.jsonl: event 2 (frame) differs: rows"


def a_hub_with_a_flow(folder: Path, folders: StateFolder) -> str:
    """A state folder whose hub has one commit with a flow and its golden; the commit."""
    return a_hub(folder, folders, {"swarm.toml": SETTINGS, "canary/golden/resize.jsonl": GOLDEN})


def a_row(store: ArtifactStore, text: str = GOOD, *, ms: float = 2.5, **fields: Any) -> Mapping[str, Any]:
    """What `canary_finished` says of the flow: green with the good trace, red with another one."""
    good = text == GOOD
    artifacts = {"trace": store.put(text.encode()), "log": store.put(b"    0.001 out hello\n")}
    return {
        "flow": FLOW,
        "verdict": "PASS" if good else "FAIL",
        "reason": "1 steps held" if good else REASON,
        "duration_s": 0.25,
        "samples": {"frame-time": [ms, ms + 1, ms + 2]},
        "artifacts": artifacts,
        **fields,
    }


def landed(order: str, commit: str) -> NewEvent:
    fields = {
        "change": f"agent/{order}/1-x", "commit": commit, "tree": "0" * 40, "report": "sha256:0", "parent": "0" * 40,
        "effect_id": f"land-{commit[:8]}",
    }  # fmt: skip
    return NewEvent("change_landed", fields, work_order=order)


def queued(order: str) -> list[NewEvent]:
    """How a change comes onto the train: ready, one run, proposed, verified."""
    change, run = f"agent/{order}/1-x", f"{order}.1"
    proposed = {
        "change": change, "base": "0" * 40, "head": "0" * 40, "tree": "0" * 40, "paths": ["a.py"], "summary": "…",
        "agent": "demo",
    }  # fmt: skip
    ended = {"result": "done", "counted": False, "reason": "", "kept": "", "exit_code": 0, "duration_s": 1.0}
    started = {"attempt": 1, "role": "implementer", "agent": "demo", "base": "0" * 40}
    return [
        NewEvent("work_order_ready", {}, work_order=order),
        NewEvent("run_started", started, work_order=order, run=run),
        NewEvent("run_finished", ended, work_order=order, run=run),
        NewEvent("change_proposed", proposed, work_order=order, run=run),
        NewEvent("change_verifying", {"change": change}, work_order=order),
        NewEvent("change_queued", {"change": change, "guards": []}, work_order=order),
    ]


def green(store: ArtifactStore, commit: str) -> list[NewEvent]:
    """A commit that passes at once."""
    return [canary_started(commit), canary_finished(commit, [a_row(store)]), canary_judged(commit, "PASS")]


def red(store: ArtifactStore, good: str) -> list[NewEvent]:
    """`one` lands; its canary is red three times while last good is green, and landing is frozen."""
    bad = [a_row(store, BAD, ms=20.0)]
    return [
        *queued("one"),
        landed("one", RED),
        canary_started(RED),
        canary_finished(RED, bad),
        canary_started(RED, purpose="rerun"),
        canary_finished(RED, bad, purpose="rerun"),
        canary_started(good, RED, "control"),
        canary_finished(good, [a_row(store)], RED, "control"),
        canary_started(RED, purpose="rerun"),
        canary_finished(RED, bad, purpose="rerun"),
        canary_judged(RED, "FAIL", f"{REASON} (red three times, last good is green)"),
        NewEvent("landing_frozen", {"reason": f"the canary is red on {RED[:12]}: {REASON}", "why": "canary"}),
    ]


def restored(good: str) -> NewEvent:
    fields = {
        "commit": RESTORE, "tree": "0" * 40, "to": good, "from": RED, "red": RED, "report": "sha256:0",
        "effect_id": "restore-1",
    }  # fmt: skip
    return NewEvent("main_restored", fields)


def culprit(order: str = "one") -> list[NewEvent]:
    """The culprit is named, its change is reverted, and a bug work order is written."""
    bug = {"id": f"bug-{order}-1", "title": f"Regression: {FLOW} broke", "kind": "fix", "goal": "…"}
    change = f"agent/{order}/1-x"
    return [
        NewEvent(
            "culprit_found", {"commit": RED, "change": change, "range": [RED], "probability": 0.9983}, work_order=order
        ),
        NewEvent("change_reverted", {"change": change, "commit": RED, "evidence": ["it was red"]}, work_order=order),
        NewEvent(
            "work_order_added", {"order": bug, "because": "canary", "regression": RED}, work_order=f"bug-{order}-1"
        ),
    ]  # fmt: skip
