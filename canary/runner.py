"""Runs the flows of a canary on one commit on this machine. The raw verdict; acting on it is the planner's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from canary.awake import Awake
from canary.compare import Measured, Name, Turns, Word, samples_of, word
from canary.flows import run_flow
from canary.kept import KeptArtifacts
from canary.launch import FindsPrograms, Ground
from canary.packaging import artifact_path
from canary.surely import surely
from canary.verdicts import Finding, worst
from canary.warmth import Warmth
from engine.artifacts import ArtifactStore
from engine.errors import InfrastructureFault, SwarmError
from engine.git.removal import remove_tree
from engine.models.flow import Flow
from engine.ports import CanaryOutcome, CanaryRequest, CompareRequest, Comparison, FlowOutcome, Quota, Sandbox
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
    start of the engine finds what outlived this one. quota: of each program, asked anew for each flow. beside: other
    checkouts than `slots`, for last good while it is compared; their paths should be as long. now: the wall clock.
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
        beside: LeasesSlots | None = None,
        now: Callable[[], float] = time.time,
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
        self._beside = beside
        self._now = now
        self._kept = KeptArtifacts(runs.parent / "kept-artifacts", store)

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
            warmth = Warmth(slot.cache)
            await asyncio.to_thread(warmth.begin, request.tree)
            for number, flow in enumerate(request.flows, 1):
                progress.flow = {"flow": flow.name, "number": number, "flows": len(request.flows)}
                outcomes.append(await self._flow(request, flow, number, slot, folder, progress))
            outcome = _overall(outcomes)
            if outcome.verdict == "PASS":
                await asyncio.to_thread(warmth.green, request.tree)
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
        ground = self._ground(request.key, number, slot, folder / f"{number}-{flow.name}")
        read_golden = partial(self._hub.read_file, request.tree)
        outcome = await run_flow(flow, ground, self._store, read_golden, progress, self._redactor)
        if digest := outcome.artifacts.get("artifact"):
            await asyncio.to_thread(self._kept.keep, flow, request.tree, digest)
        progress("flow_judged", {"verdict": outcome.verdict, "duration_s": round(outcome.duration_s, 3)})
        return outcome

    def _ground(self, key: str, number: int, slot: LeasedSlot, folder: Path) -> Ground:
        return Ground(
            tree=slot.path,
            cache=slot.cache,
            folder=folder,
            # With a slash behind it, no marker is the beginning of another one.
            marker=f"{self._epoch}/{key}/{number}/",
            sandbox=self._sandbox,
            programs=self._programs,
            quota=self._quota(),
        )

    def _manifest(self, folder: Path, outcomes: list[FlowOutcome]) -> None:
        entries = {f"{o.flow}/{name}": digest for o in outcomes for name, digest in o.artifacts.items()}
        self._store.write_manifest(folder, entries)

    # ---- two commits in turns

    async def compare(self, request: CompareRequest) -> Comparison:
        """Run each flow that takes samples on both commits, in turns, and judge what they gave; see `canary.compare`.

        Last good's artifact is that of its own canary run, if there was one. Raises InfrastructureFault when the
        machine fails outside of a flow, or when there is no second checkout. Cancelling kills all that runs before this
        raises.
        """
        if self._beside is None:
            raise InfrastructureFault("two commits cannot be compared: this engine has no second checkout for it")
        folder = self._runs / request.key
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        progress = Progress(folder / "progress.jsonl", request.commit)
        awake = Awake(self._now)
        flows = [flow for flow in request.flows if samples_of(flow)]
        measured: list[Measured] = []
        artifacts: dict[str, str] = {}
        async with self._slots.lease(request.key) as new, self._beside.lease(request.key) as old, awake.watching():
            await asyncio.to_thread(Warmth(new.cache).begin, request.tree)
            await asyncio.to_thread(Warmth(old.cache).begin, request.good_tree)
            for number, flow in enumerate(flows, 1):
                progress.flow = {"flow": flow.name, "number": number, "flows": len(flows)}
                sides = self._sides(request, flow, number, {"new": new, "old": old}, folder)
                measured.append(await sides.measure(request.budgets, awake, progress))
                artifacts |= sides.artifacts
            # Both have run and none was red; which of the two is faster says nothing of what they built.
            if all(each.finding is None for each in measured):
                await asyncio.to_thread(Warmth(new.cache).green, request.tree)
                await asyncio.to_thread(Warmth(old.cache).green, request.good_tree)
        said = word(measured, request.budgets)
        artifacts["comparison"] = await asyncio.to_thread(self._store.put_json, _told(request, measured, said))
        progress("judged", {"verdict": said.finding.verdict})
        await asyncio.to_thread(self._store.write_manifest, folder, artifacts)
        failed = tuple(
            each.flow.name for each in measured if each.finding is not None and each.finding.verdict == "FAIL"
        )
        return Comparison(said.finding.verdict, said.finding.reason, said.metrics, artifacts, failed)

    def _sides(
        self, request: CompareRequest, flow: Flow, number: int, slots: Mapping[Name, LeasedSlot], folder: Path
    ) -> _Sides:
        trees: dict[Name, str] = {"new": request.tree, "old": request.good_tree}

        def ground(name: Name) -> Ground:
            return self._ground(request.key, number, slots[name], folder / f"{number}-{flow.name}-{name}")

        return _Sides(
            flow, trees, slots, ground, self._kept, self._store, folder / "scratch", self._hub, self._redactor
        )


@dataclass
class _Sides:
    """One flow on two checkouts. `artifacts`: what failed runs left, by name."""

    flow: Flow
    trees: Mapping[Name, str]
    slots: Mapping[Name, LeasedSlot]
    ground: Callable[[Name], Ground]
    kept: KeptArtifacts
    store: ArtifactStore
    scratch: Path
    hub: ReadsTrees
    redactor: Redactor | None
    artifacts: dict[str, str] = field(default_factory=dict[str, str])
    failed: dict[Name, int] = field(default_factory=dict[Name, int])

    async def measure(self, budgets: Mapping[str, str], awake: Awake, progress: Progress) -> Measured:
        progress("checkout", {})
        try:
            for name, tree in self.trees.items():
                await asyncio.to_thread(self.slots[name].checkout, tree)
        except SwarmError as error:
            told = f"flow {self.flow.name}: a commit could not be checked out: {error}"
            return Measured(self.flow, finding=Finding("ENVIRONMENT", told))
        return await Turns(self.flow, budgets, self.run, self._lay_kept, awake, progress).measure()

    async def _lay_kept(self) -> bool:
        ground = self.ground("old")
        into = artifact_path(self.flow, ground)
        root = ground.cache if into and into.is_relative_to(ground.cache) else ground.tree
        try:
            return into is not None and await asyncio.to_thread(self.kept.lay, self.flow, self.trees["old"], root, into)
        except OSError:
            return False

    async def run(self, flow: Flow, name: Name, *, build: bool) -> FlowOutcome:
        """What many runs leave is not kept, but for those that failed."""
        store = self.store if build else ArtifactStore(self.scratch)
        read_golden = partial(self.hub.read_file, self.trees[name])
        try:
            outcome = await run_flow(flow, self.ground(name), store, read_golden, redactor=self.redactor, build=build)
            if outcome.verdict == "FAIL":
                await asyncio.to_thread(self._keep_failed, name, store, outcome)
            if build and (digest := outcome.artifacts.get("artifact")):
                await asyncio.to_thread(self.kept.keep, flow, self.trees[name], digest)
        finally:
            await surely(asyncio.to_thread(remove_tree, self.scratch))
        return outcome

    def _keep_failed(self, name: Name, store: ArtifactStore, outcome: FlowOutcome) -> None:
        self.failed[name] = nth = self.failed.get(name, 0) + 1
        for what, digest in outcome.artifacts.items():
            self.artifacts[f"{outcome.flow}/{name}-failed-{nth}/{what}"] = self.store.put(store.get(digest))


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


def _told(request: CompareRequest, measured: Sequence[Measured], said: Word) -> dict[str, Any]:
    """All numbers, so that the judgement can be made again from them."""
    return {
        "commit": request.commit,
        "good": request.good_commit,
        "budgets": dict(request.budgets),
        "verdict": said.finding.verdict,
        "reason": said.finding.reason,
        "metrics": [asdict(metric) for metric in said.metrics],
        "flows": [each.told() for each in measured],
    }


def _overall(outcomes: list[FlowOutcome]) -> CanaryOutcome:
    found = worst(Finding(outcome.verdict, outcome.reason) for outcome in outcomes)
    if found is None or found.verdict == "PASS":
        return CanaryOutcome("PASS", f"{len(outcomes)} of {len(outcomes)} flows passed", tuple(outcomes))
    return CanaryOutcome(found.verdict, found.reason, tuple(outcomes))
