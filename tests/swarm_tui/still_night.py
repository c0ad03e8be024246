"""A night for pictures of the screens: the same events, ids, commits and keys each time it is told, on a clock that
stands still."""

from __future__ import annotations

from pathlib import Path

from approvals import asked
from canary_story import (
    BAD,
    FLOW,
    GOLDEN,
    REASON,
    RESTORE,
    SETTINGS,
    a_row,
    canary_finished,
    canary_started,
    green,
    landed,
    queued,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from nights import START
from proofs import a_gate, canary_judged, gate_finished, gate_started, report_signed, signed
from told_night import BASE, ORDER, Told, told_night

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.models.event import NewEvent
from swarm_tui.room.pulse import Sampler
from swarm_tui.room.room import Room
from swarm_tui.room.source import LiveSource
from tests.conftest import GitRepo

NOW = START + 900.0
"""When the pictures are taken, in UTC seconds."""
DATES = {"GIT_AUTHOR_DATE": f"{START:.0f} +0000", "GIT_COMMITTER_DATE": f"{START:.0f} +0000"}
CHANGE = "agent/one/1-aaaa"
ORDERS = [
    ORDER,
    BASE,
    {"id": "three", "title": "A faster third", "item": "speed"},
    {"id": "four", "title": "Fetch the fonts", "item": "looks"},
    {"id": "five", "title": "Round corners", "item": "looks"},
    {"id": "six", "title": "A sixth that waits", "depends_on": ["five"]},
]
FILES = {"swarm.toml": SETTINGS, "canary/golden/resize.jsonl": GOLDEN, "src/a.py": "print('old')\n"}


class StillSource(LiveSource):
    """The journal, looked at at one moment for ever."""

    def now(self) -> float:
        return NOW


def still_night(folder: Path, repo: GitRepo) -> Told:
    """Main was restored after a red canary; a change was rejected and is tried again, one is on the train, a person is
    asked. Commits are the same each time only with `DATES` in the environment."""
    _write_key(StateFolder(folder / "state"))
    told = told_night(folder, repo, ORDERS)
    store = ArtifactStore(told.folders.artifacts)
    told.writer.write(
        *queued("base"),
        landed("base", told.base),
        *green(store, told.base),
        NewEvent("work_order_healthy", {"commit": told.base}, work_order="base"),
    )
    _one_is_rejected(told, store)
    told.writer.write(*queued("three"), landed("three", told.head), *_red_canary(store, told.base, told.head))
    told.writer.write(*_repaired(told), *queued("five"))
    told.writer.write(gate_started("unit", "4" * 40, "agent/five/1-x"))
    told.write("work_order_ready", order="one")
    told.run_folder("one.2")
    told.run_starts("one.2", 2)
    told.write("work_order_parked", order="six", reason="five was rejected three times", do="write five anew")
    told.writer.write(asked("ap-1", "four", "network", argv=["curl", "fonts.example"]), asked("ap-2", "five"))
    return told


def _write_key(folders: StateFolder) -> None:
    """The engine's signing key, so that signed reports are the same each time."""
    folders.keys.mkdir(parents=True)
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folders.keys / "signing.key").write_bytes(pem)


def _one_is_rejected(told: Told, store: ArtifactStore) -> None:
    """The first attempt at `one`: its unit gate is red on the tree that would have landed."""
    tree = told.tree(told.head)
    told.write("work_order_ready")
    told.run_folder()
    told.run_starts()
    told.hands_in(change=CHANGE)
    told.write("change_verifying", change=CHANGE)
    told.write("change_queued", change=CHANGE, guards=[])
    unit = a_gate(store)
    stress = a_gate(store, "stress", outcomes={"tests.test_storm.Storm.test_long": "passed"}, log_text=".\n")
    told.writer.write(gate_started("unit", tree, CHANGE), gate_started("stress", tree, CHANGE))
    told.writer.write(gate_finished(unit, tree, CHANGE), gate_finished(stress, tree, CHANGE))
    told.writer.write(report_signed(signed(told.folders, unit, stress, tree=tree, change=CHANGE), "red", tree, CHANGE))
    told.write("change_rejected", change=CHANGE, reasons=["unit: 2 of 4 tests failed"])


def _red_canary(store: ArtifactStore, good: str, red: str) -> list[NewEvent]:
    """Red, red again while last good is green, and landing is frozen."""
    bad = [a_row(store, BAD, ms=20.0)]
    return [
        canary_started(red),
        canary_finished(red, bad),
        canary_started(red, purpose="rerun"),
        canary_finished(red, bad, purpose="rerun"),
        canary_started(good, red, "control"),
        canary_finished(good, [a_row(store)], red, "control"),
        canary_judged(red, "FAIL", f"{REASON} (red twice, last good is green)"),
        NewEvent("landing_frozen", {"reason": f"the canary is red on {red[:12]}: {REASON}", "why": "canary"}),
    ]


def _repaired(told: Told) -> list[NewEvent]:
    """Main is restored, the culprit is named and reverted, and a bug work order is written."""
    change, red = "agent/three/1-x", told.head
    back = {
        "commit": RESTORE, "tree": told.tree(told.base), "to": told.base, "from": red, "red": red,
        "report": "sha256:0", "effect_id": "restore-1",
    }  # fmt: skip
    named = {"commit": red, "change": change, "range": [red], "probability": 0.9983}
    bug = {"id": "bug-three-1", "title": f"Regression: {FLOW} broke", "kind": "fix", "goal": "…"}
    return [
        NewEvent("main_restored", back),
        NewEvent("culprit_found", named, work_order="three"),
        NewEvent("change_reverted", {"change": change, "commit": red, "evidence": ["it was red"]}, work_order="three"),
        NewEvent("work_order_added", {"order": bug, "because": "canary", "regression": red}, work_order="bug-three-1"),
    ]


def open_still(folders: StateFolder, repository: Path) -> Room:
    """The room on this journal at its moment. Nothing is sampled, and nothing is remembered of an earlier room."""
    from swarm_tui.room import remembered

    (folders.root / remembered.FILE).unlink(missing_ok=True)
    source = StillSource(folders, repository)
    source.start()
    return Room(source, Sampler(folders))
