"""A small night with everything behind it: a hub with commits, a run's folder, a signed report. For screens that show
one work order or one run."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nights import Writer, a_night, opener_of
from textual.pilot import Pilot

from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.git.hub import Hub
from engine.models.event import NewEvent
from engine.models.report import GateResult, GuardResult, VerificationReport
from gates.report import Reports
from gates.sign import open_keys
from swarm_tui.app import Leaving, RoomApp
from tests.conftest import GitRepo

DEADLINE_S = 10.0
ORDER: dict[str, Any] = {
    "id": "one", "title": "Do [b]one[/b]", "goal": "The goal of it.", "allow": ["src/**"], "deny": ["secret/**"],
    "depends_on": ["base", "never-written"], "tests": ["tests.test_one"], "priority": 3, "rollback": "take it back",
    "acceptance": [{"name": "it works", "run": ["prove", "it now"]}],
}  # fmt: skip
BASE: dict[str, Any] = {"id": "base", "title": "The base of it"}


@dataclass
class Told:
    """`write` tells more of the night, also while a room looks at it."""

    repo: GitRepo
    writer: Writer
    base: str
    head: str
    reports: list[str] = field(default_factory=list[str])

    @property
    def folders(self) -> StateFolder:
        return self.writer.folders

    def write(self, kind: str, run: str = "", order: str = "one", **fields: Any) -> None:
        self.writer.write(NewEvent(kind, fields, work_order=order, run=run))

    def run_starts(self, run: str = "one.1", attempt: int = 1) -> None:
        self.write("run_started", run, attempt=attempt, role="implementer", agent="demo", base=self.base)

    def run_ends(self, run: str = "one.1", result: str = "done", reason: str = "", kept: str | None = None) -> None:
        kept = self.head if kept is None else kept
        exit_code = 0 if result == "done" else None
        self.write("budget_spent", run, tokens=1200, cost=0.5, agent="demo", role="implementer")
        self.write("run_finished", run, result=result, counted=True, reason=reason, kept=kept, exit_code=exit_code,
                   duration_s=1.0)  # fmt: skip

    def hands_in(self, run: str = "one.1", change: str = "agent/one/1-aaaa", **said: Any) -> None:
        said = {"summary": "It is done.", "risk": "none", "rollback": "revert", **said}
        digest = ArtifactStore(self.folders.artifacts).put_json(said)
        self.run_ends(run)
        self.write("handoff_received", run, role="implementer", digest=digest, summary=said["summary"])
        self.write("change_proposed", run, change=change, base=self.base, head=self.head, tree=self.tree(self.head),
                   paths=["src/a.py"], summary=said["summary"], agent="demo", risk="no", rollback="revert")  # fmt: skip

    def is_judged(self, result: str = "green", change: str = "agent/one/1-aaaa", *reasons: str) -> str:
        """A gate runs, and a report about it is signed; its digest."""
        self.write("change_verifying", change=change)
        self.write("change_queued", change=change, guards=[])
        tree, base = self.tree(self.head), self.tree(self.base)
        self.write("gate_started", gate="unit", tree=tree, change=change)
        self.write("gate_finished", gate="unit", tree=tree, change=change, result=result, reason="".join(reasons),
                   executed=3, passed=3, failed=0, skipped=0, duration_s=0.2, cached=False)  # fmt: skip
        gate = GateResult(name="unit", result="green" if result == "green" else "red", executed=3, passed=3)
        report = VerificationReport(
            kind="land", result="green" if result == "green" else "red", tree=tree, base=base, base_commit=self.base,
            repository=self.base, change=change, work_order="one", policy="sha256:" + "0" * 64, gates=[gate],
            guards=[GuardResult(rule="paths", ok=True)], reasons=list(reasons), sandbox={"net": True, "limits": False},
            sandbox_backend="bubblewrap", flags=["unproven-goal"],
        )  # fmt: skip
        signed = Reports(ArtifactStore(self.folders.artifacts), open_keys(self.folders.keys)).sign(report)
        self.reports.append(signed.digest)
        self.write("report_signed", report_kind="land", result=result, report=signed.digest, tree=tree, base=base,
                   base_commit=self.base, policy="p", change=change, reasons=list(reasons))  # fmt: skip
        return signed.digest

    def lands(self, change: str = "agent/one/1-aaaa") -> None:
        self.write("change_landed", change=change, commit=self.head, tree=self.tree(self.head),
                   report=self.reports[-1], parent=self.base, effect_id="e")  # fmt: skip

    def run_folder(self, run: str = "one.1") -> Path:
        """What a run's folder holds, as the engine and an agent write it."""
        folder = self.folders.runs / run
        (folder / "side").mkdir(parents=True)
        (folder / "log").write_text("first line\nneedle in the log\nlast line\n", encoding="utf-8")
        (folder / "side" / "prompt.md").write_text("Do it [b]well[/b] \x1b[31m\n", encoding="utf-8")
        (folder / "side" / "task.json").write_text(json.dumps({"role": "implementer", "attempt": 1}), encoding="utf-8")
        spec = {"argv": ["agent", "--now"], "cwd": "/w", "writable": ["/w"], "readable": ["/r"], "hosts": ["a.example"],
                "env": ["PATH"], "wall_s": 60.0, "idle_s": 5.0, "leash": True}  # fmt: skip
        (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        (folder / "result.json").write_text(json.dumps({"end": "exited", "dropped_bytes": 0}), encoding="utf-8")
        return folder

    def tree(self, commit: str) -> str:
        return self.repo.head(f"{commit}^{{tree}}")


def told_night(folder: Path, repo: GitRepo, orders: Iterable[Mapping[str, Any]] = (ORDER, BASE)) -> Told:
    """The order `one` is on the roadmap, nothing has happened to it. `repo` gets a second commit and is the hub."""
    base = repo.head()
    head = repo.commit({"src/a.py": "print('new')\n", "src/b.py": "b = 1\n"})
    writer = a_night(folder, orders=orders)
    Hub.create_or_open(writer.folders.root, repo.path, "main")
    return Told(repo, writer, base, head)


@asynccontextmanager
async def looking(told: Told, size: tuple[int, int] = (100, 40)) -> AsyncIterator[tuple[RoomApp, Pilot[Leaving]]]:
    """A room that has read all of the night."""
    app = RoomApp(opener_of(told.folders, told.repo.path))
    async with app.run_test(size=size) as pilot:
        try:
            await until(pilot, lambda: app.opened and app.room.source.past_read == 1.0)
            yield app, pilot
        finally:
            if app.opened:
                app.room.source.close()
                app.room.sampler.close()


async def until(pilot: Pilot[Leaving], holds: Callable[[], bool]) -> None:
    """Wait until it holds; fails the test when it does not soon."""
    ends = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < ends, "it never came"
        await pilot.pause()
        await asyncio.sleep(0.01)
