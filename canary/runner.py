"""Runs the flows of a canary on one commit on this machine. The raw verdict; acting on it is the planner's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from canary.flows import run_flow
from canary.launch import FindsPrograms, Ground
from canary.verdicts import Finding, worst
from engine.artifacts import ArtifactStore
from engine.errors import SwarmError
from engine.models.flow import Flow
from engine.ports import CanaryOutcome, CanaryRequest, FlowOutcome, Quota, Sandbox
from engine.text.redact import Redactor


class LeasedSlot(Protocol):
    """A checkout of ours for a while; `engine.git.slots.Slot`."""

    path: Path
    cache: Path

    def checkout(self, tree: str) -> None: ...


class LeasesSlots(Protocol):
    """`engine.git.slots.Slots`."""

    def lease(self, key: str) -> AbstractAsyncContextManager[LeasedSlot]: ...


class ReadsTrees(Protocol):
    """`engine.git.hub.Hub`."""

    def read_file(self, rev: str, path: str) -> bytes | None: ...


class LocalCanaryRunner:
    """Implements `engine.ports.CanaryRunner`.

    slots: checkouts for canaries. runs: the folder with one folder a run. hub: where goldens are read, from the
    commit's own tree. epoch: the first part of the marker `<epoch>/<key>/<n>/` of all processes, by which the next
    start of the engine finds what outlived this one. quota: of each program, asked anew for each flow.
    """

    def __init__(
        self,
        slots: LeasesSlots,
        sandbox: Sandbox,
        programs: FindsPrograms,
        store: ArtifactStore,
        runs: Path,
        hub: ReadsTrees,
        *,
        epoch: str = "0",
        redactor: Redactor | None = None,
        quota: Callable[[], Quota] = Quota,
    ) -> None:
        self._slots = slots
        self._sandbox = sandbox
        self._programs = programs
        self._store = store
        self._runs = runs
        self._hub = hub
        self._epoch = epoch
        self._redactor = redactor
        self._quota = quota

    async def run(self, request: CanaryRequest) -> CanaryOutcome:
        """Run each flow in order, each on a fresh checkout, in a home of its own; the worst verdict is the outcome's.

        A flow that fails does not keep the later ones from running. Raises ValueError when there is no flow (nothing
        asked is not a PASS), InfrastructureFault when the machine fails outside of a flow. Cancelling kills all that
        runs before this raises.
        """
        if not request.flows:
            raise ValueError("a canary without flows says nothing: it must not be asked for")
        folder = self._runs / request.key
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        progress = Progress(folder / "progress.jsonl", request.commit)
        outcomes: list[FlowOutcome] = []
        async with self._slots.lease(request.key) as slot:
            for number, flow in enumerate(request.flows, 1):
                progress.flow = {"flow": flow.name, "number": number, "flows": len(request.flows)}
                outcomes.append(await self._flow(request, flow, number, slot, folder, progress))
        outcome = _overall(outcomes)
        progress("judged", {"verdict": outcome.verdict})
        await asyncio.to_thread(self._manifest, folder, outcomes)
        return outcome

    async def _flow(
        self, request: CanaryRequest, flow: Flow, number: int, slot: LeasedSlot, folder: Path, progress: Progress
    ) -> FlowOutcome:
        progress("checkout", {})
        try:
            await asyncio.to_thread(slot.checkout, request.tree)
        except SwarmError as error:
            return FlowOutcome(flow.name, "ENVIRONMENT", f"the commit could not be checked out: {error}", 0.0)
        ground = Ground(
            tree=slot.path,
            cache=slot.cache,
            folder=folder / f"{number}-{flow.name}",
            # With a slash behind it, no marker is the beginning of another one.
            marker=f"{self._epoch}/{request.key}/{number}/",
            sandbox=self._sandbox,
            programs=self._programs,
            quota=self._quota(),
        )
        read_golden = partial(self._hub.read_file, request.tree)
        outcome = await run_flow(flow, ground, self._store, read_golden, progress, self._redactor)
        progress("flow_judged", {"verdict": outcome.verdict, "duration_s": round(outcome.duration_s, 3)})
        return outcome

    def _manifest(self, folder: Path, outcomes: list[FlowOutcome]) -> None:
        entries = {f"{o.flow}/{name}": digest for o in outcomes for name, digest in o.artifacts.items()}
        self._store.write_manifest(folder, entries)


class Progress:
    """Appends lines to a progress file that clients tail. Lossy: a full disk never fails a canary."""

    def __init__(self, path: Path, commit: str) -> None:
        self.flow: dict[str, Any] = {}
        self._path = path
        self._commit = commit

    def __call__(self, said: str, fields: dict[str, Any]) -> None:
        row = {"at": round(time.time(), 3), "kind": "canary", "said": said, "commit": self._commit}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row | self.flow | fields) + "\n")
        except OSError:
            pass


def _overall(outcomes: list[FlowOutcome]) -> CanaryOutcome:
    found = worst(Finding(outcome.verdict, outcome.reason) for outcome in outcomes)
    if found is None or found.verdict == "PASS":
        return CanaryOutcome("PASS", f"{len(outcomes)} of {len(outcomes)} flows passed", tuple(outcomes))
    return CanaryOutcome(found.verdict, found.reason, tuple(outcomes))
